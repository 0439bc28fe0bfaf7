"""One seed of the study: data prepared and a model fine-tuned with it, pruned and trained again."""

import hashlib
import json
import os
import subprocess
import sys
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pipeline.ablation.sweep import load_target, load_tuned_model
from pipeline.core import paths
from pipeline.core.config import Params
from pipeline.core.errors import InputError
from pipeline.core.formats import read_json, write_json, write_text
from pipeline.models.checkpoints import save_tuned
from pipeline.pruning.confirmation import JudgedRung, confirm
from pipeline.pruning.controls import random_sets
from pipeline.pruning.outcomes import controls_frame, recovery_frame
from pipeline.pruning.predictions import MaskedPredictions, RecoveredPredictions
from pipeline.pruning.recovery import Recovery
from pipeline.pruning.search import climb
from pipeline.pruning.units import HEAD, PrunableUnits, count_heads, prunable_units
from pipeline.pruning_study.machine import device_name
from pipeline.stats.measures import EvaluationSet, Measure
from pipeline.tables.prepare import SPLIT_TABLES

FOLDER = paths.CACHE / "pruning_study"
# What the study sets; everything else is params.yaml's.
TEST_PAIRS, MARGIN, SEARCH_PAIRS, NEURONS_PER_HEAD = 6000, 0.01, 300, 0
EPOCHS, LEARNING_RATE, TARGETS = 10, 2.0e-4, "predictions"
SIZES = (1 / 4, 3 / 8, 1 / 2, 5 / 8)  # of the heads, on the search's way
SMALLEST = 1 / 2  # of them that is trained again and tested: each takes a training
STAGES = ("prepare", "finetune")
CODE = ("core", "data", "models", "stats", "tables", "ablation", "pruning")  # packages that can change a result
Result = dict[str, Any]


def study_params(params: Params, seed: int) -> Params:
    """Params of a seed."""
    values = params.model_dump(mode="json")
    values["run"]["seed"] = seed
    values["data"]["generated"]["test_pairs"] = TEST_PAIRS
    values["pruning"] |= {
        "non_inferiority_margin": MARGIN,
        "search_pairs": SEARCH_PAIRS,
        "neurons_per_head": NEURONS_PER_HEAD,
        "recovery_epochs": EPOCHS,
        "recovery_learning_rate": LEARNING_RATE,
        "recovery_targets": TARGETS,
    }
    return Params.model_validate(values)


@dataclass(frozen=True)
class Studied:
    """What a seed gave.

    Attributes:
        folder: with data/prepared and data/model. small: of the smaller model.
        result: as `docs/pruning_study.json` keeps it.
    """

    folder: Path
    small: Path
    result: Result


def study_seed(params: Params, project: Path) -> Studied:
    """Study one seed, or read what an earlier study of the same code and params made.

    The model serves studies of other recoveries too.

    Args:
        params: of the seed. project: absolute path of the project, whose data and checkpoints are read.

    Raises:
        InputError: a stage failed.
    """
    files = [file for package in CODE for file in sorted((project / "pipeline" / package).rglob("*.py"))]
    code = [file.read_bytes() for file in files]
    model = _digest(params.model_dump_json(exclude={"pruning"}).encode(), *code)
    folder = project / FOLDER / f"seed-{params.run.seed}-{model}"
    recovery = _digest(params.pruning.model_dump_json().encode())
    small, result = folder / f"small-{recovery}", folder / f"result-{recovery}.json"
    if not (folder / paths.MODEL).exists():
        _prepare_folder(folder, params, project)
        for stage in STAGES:
            _run_stage(stage, folder, project)
    if not result.exists():
        with chdir(folder):
            write_json(result, _pruned(params, small))
    return Studied(folder, small, read_json(result))


def _digest(*contents: bytes) -> str:
    return hashlib.sha256(b"".join(contents)).hexdigest()[:12]


def _prepare_folder(folder: Path, params: Params, project: Path) -> None:
    for path in (paths.RAW, paths.CHECKPOINTS):
        (folder / path.parent).mkdir(parents=True, exist_ok=True)
        if (project / path).exists() and not (folder / path).exists():
            (folder / path).symlink_to(project / path)
    write_text(folder / paths.PARAMS, yaml.safe_dump(params.model_dump(mode="json"), allow_unicode=True))


def _run_stage(stage: str, folder: Path, project: Path) -> None:
    """Run a stage by hand in the folder, whose MLflow rows stay there."""
    environment = {**os.environ, "PYTHONPATH": str(project)}
    done = subprocess.run([sys.executable, "-m", "pipeline", stage], cwd=folder, env=environment)
    if done.returncode:
        raise InputError(f"the stage {stage} failed in {folder.relative_to(project)}; its message stands above")


def _pruned(params: Params, folder: Path) -> Result:
    """Prune the fine-tuned model below the working directory, train what is left again and save it in `folder`."""
    settings, tuned = params.pruning, load_tuned_model(params)
    dev = load_target(params, tuned, SPLIT_TABLES[paths.DEV], settings.search_pairs)
    test = load_target(params, tuned, SPLIT_TABLES[paths.TEST])
    measures, measure = dev.measures, dev.measures.guarded(settings.measure)
    units = prunable_units(tuned.encoder, dev.encoded, dev.batch_tokens, settings.neurons_per_head)
    slicings = params.data.slice_columns
    searched, masked = (MaskedPredictions.of_target(target, units, dev.temperature, slicings) for target in (dev, test))
    splits = SPLIT_TABLES[paths.TRAIN].read(), SPLIT_TABLES[paths.DEV].read()
    recovered = RecoveredPredictions.of_pairs(masked, Recovery(tuned.model, tuned.tokenizer, *splits, params))

    judged = list[JudgedRung]()
    margins = settings.non_inferiority_margin, settings.slices_margin
    rungs = climb(searched.scores(measures.rank_by), units, shares=SIZES)
    smallest = SMALLEST * units.layers * units.heads
    large = (rung for rung in rungs if count_heads(rung.removed) >= smallest)
    for rung in confirm(large, recovered, measure, margins, confirmable=True):
        judged.append(rung)
        print(f"study: {json.dumps(_rung(rung, units))}", file=sys.stderr, flush=True)
    passing = [rung.rung.removed for rung in judged if rung.passed]
    removed = passing[-1] if passing else judged[0].rung.removed
    small, kept = recovered.smaller_model(removed), units.kept(removed)
    save_tuned(small, tuned.tokenizer, folder, kept)
    sets = [("search", removed), *random_sets(removed, units, params.run.seed)]
    beside = [
        *controls_frame(sets, recovered, measure, measures).to_dict("records"),
        *recovery_frame(removed, recovered, masked, measure, measures).to_dict("records"),
    ]
    return {
        "seed": params.run.seed,
        "device": device_name(tuned.model.device),
        "measure": measure.label,
        "queries": test.sample.queries,
        "pairs": len(test.encoded),
        "whole": _value(measure, masked.evaluated),
        "whole_trained": _value(measure, recovered.evaluated),
        "confirmed": bool(passing),
        "heads": units.layers * units.heads,
        "parameters_removed": units.cost(removed) / units.cost(units.every()),
        "ladder": [_rung(rung, units) for rung in judged],
        "beside": beside,
        "removed_heads": sorted([unit.layer, unit.number] for unit in removed if unit.kind == HEAD),
    }


def _value(measure: Measure, evaluated: EvaluationSet) -> float:
    """The measure of the unmasked model."""
    return float(measure.value(measure.statistics(evaluated.unmasked_logits[None], evaluated).sum(axis=1))[0])


def _rung(judged: JudgedRung, units: PrunableUnits) -> Result:
    """A rung on all test pairs, and the parts of them where it fails."""
    whole, removed = judged.parts[0], judged.rung.removed
    heads = count_heads(removed)
    failing = [f"{part.part[0]} {part.part[1]}" for part in judged.parts if not part.passed]
    return {
        "heads_removed": heads,
        "blocks_removed": len(removed) - heads,
        "parameters_removed": units.cost(removed) / units.cost(units.every()),
        "change": whole.change,
        "worst": whole.worst,
        "passed": judged.passed,
        "failing": failing,
    }
