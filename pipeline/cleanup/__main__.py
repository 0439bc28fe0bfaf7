"""``python -m pipeline.cleanup --keep N`` shows the MLflow runs older than the newest N; --yes removes them.

With a row go its stages' runs, models and artifacts, but for what a newer row or a model's alias still needs, and from
DVC's cache what no branch, tag or experiment uses. Exit code 0 done, 2 something the user can mend.
"""

import argparse
import sys

from pipeline.cleanup import removal
from pipeline.core.config import load_params
from pipeline.core.errors import InputError
from pipeline.tracking import mlflow_reader
from pipeline.tracking.execution import project_root


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m pipeline.cleanup", description=__doc__)
    parser.add_argument("--keep", type=_count, required=True, metavar="N", help="published rows that stay, 1 or more")
    parser.add_argument("--yes", action="store_true", help="remove; without it nothing is changed")
    options = parser.parse_args()
    carry_out = _remove if options.yes else _show
    try:
        if options.yes and removal.is_running():
            raise InputError("a pipeline is running, and may still need what would go; wait for it, or end it")
        experiment = load_params().base.experiment
        with mlflow_reader.open_client() as client:
            planned = removal.prepare_cleanup(client, experiment, options.keep) if client else None
            if planned is None:
                print(f"experiment {experiment} has no row yet")
            else:
                print("\n".join(planned.describe()), flush=True)
                carry_out(planned)
    except InputError as error:
        print(f"prune: {error}", file=sys.stderr)
        return 2
    return 0


def _show(planned: removal.Cleanup) -> None:
    if _has_cache():
        print(f"objects in DVC's cache that go: {removal.collect_cache('--dry')}")
        print("among them are tables and checkpoints of `dvc add` that only older commits name; `dvc push` keeps them")
    print("nothing was removed; --yes removes it")


def _remove(planned: removal.Cleanup) -> None:
    planned.carry_out()
    if _has_cache():
        print(f"objects in DVC's cache that went: {removal.collect_cache()}")
    if not planned.removal.frees_disk:
        print("the server keeps what was deleted until `mlflow gc` runs there")
    print("done")


def _has_cache() -> bool:
    if removal.is_running():
        print("DVC's cache stays as it is: a pipeline is running")
        return False
    return (project_root() / ".dvc").is_dir()


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of 1 or more")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
