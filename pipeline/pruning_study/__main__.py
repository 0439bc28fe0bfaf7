"""Study what can go after recovery, over seeds, and what the smaller model costs to serve.

Writes docs/pruning_study.json and docs/pruning.md. What a seed gave is kept below .cache/pruning_study/ and read
again by the next study of the same code and params, so that a killed one goes on.

exit codes:
  0  done
  2  user error in params.yaml or the command
"""

import argparse
import sys

from pipeline.core.config import load_params
from pipeline.core.errors import InputError

SEEDS = (1, 2, 3)


def main() -> int:
    arguments = _parser().parse_args()
    try:
        params = load_params()
        # Models' libraries take seconds to import, which --help need not wait for.
        from pipeline.pruning_study.study import study_seeds, write_study

        seeds = study_seeds(params, arguments.seeds)
        if tuple(arguments.seeds) == SEEDS:
            write_study(params, seeds)
    except InputError as error:
        print(f"pruning_study: {error}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.pruning_study",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    said = "only these, several processes at once; without the page (default: %(default)s, then the page)"
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS), metavar="SEED", help=said)
    return parser


if __name__ == "__main__":
    sys.exit(main())
