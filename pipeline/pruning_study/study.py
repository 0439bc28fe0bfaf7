"""The whole study: its seeds one after another, the latencies of the first one's models, and its page."""

from collections.abc import Sequence
from contextlib import chdir
from pathlib import Path

import torch

from pipeline.core import paths
from pipeline.core.config import Params
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

PAGE = Path("docs/pruning.md")


def study_seeds(params: Params, seeds: Sequence[int]) -> list[Studied]:
    """Study seeds, but for those that were studied before, in the working folder.

    Raises:
        InputError: a stage of a seed failed.
    """
    return [study_seed(study_params(params, seed), Path.cwd()) for seed in seeds]


def write_study(params: Params, seeds: Sequence[Studied]) -> None:
    """Measure latencies, and write the study and its page."""
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
