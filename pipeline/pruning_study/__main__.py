"""Study what can go after recovery, over seeds, and what the smaller model costs to serve.

Writes docs/pruning_study.json and docs/pruning.md. What a seed gave is kept below .cache/pruning_study/ and read
again by the next study of the same code and params, so that a killed one goes on.

exit codes:
  0  done
  2  user error in params.yaml or the command
"""

import argparse
import sys
from contextlib import chdir
from pathlib import Path

import torch

from pipeline.core import paths
from pipeline.core.config import Params, load_params
from pipeline.core.errors import InputError
from pipeline.core.formats import write_json, write_text
from pipeline.pruning_study.latency import measure_latency
from pipeline.pruning_study.machine import processor_name
from pipeline.pruning_study.page import page
from pipeline.pruning_study.seeds import (
    EPOCHS,
    FOLDER,
    LEARNING_RATE,
    MARGIN,
    SEARCH_PAIRS,
    TARGETS,
    Studied,
    study_params,
    study_seed,
)
from pipeline.tables.prepare import SPLIT_TABLES

SEEDS = (1, 2, 3)
PAGE = Path("docs/pruning.md")


def main() -> int:
    arguments = _parser().parse_args()
    try:
        params = load_params()
        seeds = [study_seed(study_params(params, seed), Path.cwd()) for seed in arguments.seeds]
        if tuple(arguments.seeds) == SEEDS:
            _write(params, seeds)
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


def _write(params: Params, seeds: list[Studied]) -> None:
    first = seeds[0]
    with chdir(first.folder):
        pairs = SPLIT_TABLES[paths.TEST].read()
    models = {"full": first.folder / paths.MODEL, "small": first.small}
    study = {
        "data": params.data.source_name,
        "model": params.model.name,
        "machine": f"{processor_name()}; torch {torch.__version__.split('+')[0]}",
        "note": "",  # how a study was made, where not by this command in one go
        "margin": MARGIN,
        "epochs": EPOCHS,
        "learning_rate": LEARNING_RATE,
        "targets": TARGETS,
        "search_pairs": SEARCH_PAIRS,
        "seeds": [seed.result for seed in seeds],
        **measure_latency(models, pairs, params.model.max_length, FOLDER),
    }
    write_json(paths.PRUNING_STUDY, study)
    write_text(PAGE, page(study))
    print(f"pruning_study: wrote {paths.PRUNING_STUDY}, {PAGE}")


if __name__ == "__main__":
    sys.exit(main())
