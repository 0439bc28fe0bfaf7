"""Show which MLflow runs are older than the newest N pipelines; with --yes, remove them.

A parent run is removed with its stage runs, their models and artifacts, except for what a newer run or an alias of a
model still needs. Objects of DVC's cache are removed that no working tree, branch, tag or experiment uses.

exit codes: 0 done; 2 something the user can fix
"""

import argparse
import sys

from pipeline.cleanup import removal
from pipeline.core.config import load_params
from pipeline.core.environment import complete_environment
from pipeline.core.errors import InputError, describe_refusal
from pipeline.tracking import mlflow_reader

KEEP = 20


def main() -> int:
    options = _parser().parse_args()
    complete_environment()
    try:
        if options.yes and removal.running_executions():
            raise InputError("a pipeline is running and may still need what would be removed; wait for it, or stop it")
        experiment = load_params().run.experiment
        with mlflow_reader.open_client() as client:
            cleanup = removal.prepare_cleanup(client, experiment, options.keep) if client else None
            if cleanup is None:
                print(f"experiment {experiment} has no run yet")
                return 0
            print("\n".join(cleanup.describe()), flush=True)
            if not options.yes:
                print("nothing was removed; --yes removes it")
                return 0
            cleanup.carry_out()
            print("done" if cleanup.frees_disk else "done; the server frees its disk when `mlflow gc` runs there")
    except InputError as error:
        print(f"cleanup: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"cleanup: {describe_refusal(error)}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.cleanup", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    keep = "published pipelines to keep, 1 or more (default %(default)s)"
    parser.add_argument("--keep", type=_count, default=KEEP, metavar="N", help=keep)
    parser.add_argument("--yes", action="store_true", help="remove; without it nothing is changed")
    return parser


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not an integer >= 1")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
