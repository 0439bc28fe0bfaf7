"""Which heads and feed-forward neurons can go: searched on dev, confirmed on every test pair -> reports/pruning/.

Writes decision.json (every head: remove, keep, protected or uncertain, and why), ladder.csv (the sizes tried, on all
test pairs and on every guarded slice), controls.csv (the chosen set beside others of its size), changed_pairs.csv (what
the smaller model grades or ranks otherwise, for people to look at) and metrics.json.
"""

import sys
from dataclasses import asdict

import numpy as np

from pipeline.ablation.sweep import AblationTarget, load_target, load_tuned_model
from pipeline.analysis.ablation_effects import ENOUGH_QUERIES
from pipeline.analysis.subgroups import subgroups
from pipeline.core import formats, paths, schemas
from pipeline.core.config import Params
from pipeline.core.heads import every_head
from pipeline.pruning import outcomes
from pipeline.pruning.confirmation import non_inferiority, pairs_needed
from pipeline.pruning.controls import control_sets
from pipeline.pruning.decision import JudgedRung, decide
from pipeline.pruning.predictions import PrunedPredictions
from pipeline.pruning.protection import protected_units
from pipeline.pruning.search import climb
from pipeline.pruning.units import PrunableUnits, Unit, prunable_units
from pipeline.stats.measures import Measure
from pipeline.tables.attention import LABELS
from pipeline.tables.group_ablation import GROUPS
from pipeline.tables.prepare import SPLIT_TABLES
from pipeline.tables.pruning import CHANGED_PAIRS, DECISION, LADDER, PRUNING_CONTROLS
from pipeline.tracking import Record


def main(params: Params, record: Record) -> None:
    settings, tuned = params.pruning, load_tuned_model(params)
    dev = load_target(params, tuned, SPLIT_TABLES[paths.DEV], settings.search_pairs)
    test = load_target(params, tuned, SPLIT_TABLES[paths.TEST])
    few = load_target(params, tuned, SPLIT_TABLES[paths.TEST], params.group_ablation.max_pairs)
    measures, measure = dev.measures, dev.measures.guarded(settings.measure)
    units = prunable_units(tuned.encoder, dev.encoded, params.ablation.batch_tokens)
    protected = protected_units(settings.protect, LABELS.read(), units)
    needed, confirmable = _pairs_needed(params, measure, few, test)
    searched, confirmed, controlled = (_predictions(params, target, units) for target in (dev, test, few))

    judged: list[JudgedRung] = []
    by_set: dict[tuple[Unit, ...], np.ndarray] = {(): confirmed.evaluated.unmasked_logits}
    for rung in climb(lambda sets: searched.divergences(measures.rank_by, sets), units, protected, settings.budget):
        (logits,) = confirmed.logits([rung.removed])
        margins = settings.non_inferiority_margin, settings.slices_margin
        judged.append(
            JudgedRung(rung, non_inferiority(measure, logits, confirmed.evaluated, confirmed.sliced(), *margins))
        )
        by_set[rung.removed] = logits
        if not (judged[-1].passed if confirmable else judged[-1].within):
            break
    decision = decide(judged, protected, every_head(*test.shape), measure.label, confirmable)
    ladder = outcomes.ladder_frame(judged, units)
    smaller = by_set[decision.removed]
    shown = decision.removed or (judged[0].rung.removed if judged else ())  # where nothing can go the smallest tried
    sets = [("search", shown), *control_sets(shown, units, tuned.encoder, params.run.seed)]
    controls = outcomes.controls_frame(sets, controlled, measure, measures)
    changed = outcomes.changed_pairs(test.table, confirmed.evaluated, smaller, measures)
    metrics = outcomes.pruning_metrics(decision, units, confirmed, smaller, measure, measures, changed, needed)

    DECISION.write([asdict(head) for head in decision.heads])
    LADDER.write(ladder)
    PRUNING_CONTROLS.write(controls)
    CHANGED_PAIRS.write(changed)
    formats.write_json(paths.stage_metrics("pruning"), metrics)
    record.metrics |= metrics
    tables = [paths.LADDER, paths.PRUNING_CONTROLS, paths.CHANGED_PAIRS, paths.DECISION]
    record.artifacts += [*tables, paths.stage_metrics("pruning")]


def _predictions(params: Params, target: AblationTarget, units: PrunableUnits) -> PrunedPredictions:
    temperature = schemas.metrics(paths.stage_metrics("head_ablation"), ("temperature",))["temperature"]
    columns = params.data.slice_columns
    slices = subgroups(target.table, target.tokens, columns, params.data.grade_names)
    guarded = slices[[name for name in columns if name in slices]]
    return PrunedPredictions(target.engine, units, temperature, target.encoded, target.grades, target.sample, guarded)


def _pairs_needed(params: Params, measure: Measure, few: AblationTarget, test: AblationTarget) -> tuple[int, bool]:
    """Test pairs that would confirm the margin, and whether there are as many; said on stderr where not."""
    margin, queries = params.pruning.non_inferiority_margin, test.sample.queries
    needed = pairs_needed(measure, GROUPS[test.measures.kind].read(), len(few.encoded), margin)
    enough = needed <= len(test.encoded) and queries >= ENOUGH_QUERIES
    if not enough:
        print(
            f"pruning: test has {len(test.encoded):,} pairs of {queries:,} queries, too few to confirm that "
            f"{measure.label} suffers by less than {margin:g} (pruning.non_inferiority_margin): that takes about "
            f"{needed:,} pairs and {ENOUGH_QUERIES} queries; the decision will be called not confirmed",
            file=sys.stderr,
        )
    return needed, enough
