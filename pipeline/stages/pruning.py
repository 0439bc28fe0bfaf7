"""Which heads and feed-forward neurons can go: searched on dev, confirmed on every test pair -> reports/pruning/.

Writes decision.json (every head: remove, keep, protected or uncertain, and why), ladder.csv (the sizes tried, on all
test pairs and on every guarded slice), controls.csv (the chosen set beside others of its size), changed_pairs.csv (what
the smaller model grades or ranks otherwise, for people to look at) and metrics.json; and the smaller model,
data/pruned/: small/, whose matrices are smaller, and drop_in/ of full shape, which loads wherever data/model does.
"""

import sys
from collections.abc import Iterator

import pandas as pd

from pipeline.ablation.sweep import AblationTarget, TunedModel, load_target, load_tuned_model
from pipeline.analysis.ablation_effects import ENOUGH_QUERIES
from pipeline.core import formats, paths, schemas
from pipeline.core.config import Params, with_values
from pipeline.core.errors import InputError
from pipeline.core.heads import every_head
from pipeline.pruning import outcomes
from pipeline.pruning.confirmation import confirm, pairs_needed
from pipeline.pruning.controls import control_sets, random_sets
from pipeline.pruning.decision import decide
from pipeline.pruning.delivery import deliver
from pipeline.pruning.predictions import MaskedPredictions, Predictions, RecoveredPredictions
from pipeline.pruning.protection import protected_units
from pipeline.pruning.recovery import Recovery
from pipeline.pruning.search import climb
from pipeline.pruning.units import PrunableUnits, Unit, count_heads, prunable_units
from pipeline.stats.measures import Measure
from pipeline.stats.split_metrics import split_metrics
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
    units = prunable_units(tuned.encoder, dev.encoded, dev.batch_tokens, settings.neurons_per_head)
    protected = protected_units(settings.protect, LABELS.read(), units)
    needed, confirmable = _pairs_needed(params, measure, few, test)
    masked = _masked(params, test, units)
    confirmed: Predictions = masked
    if settings.recovery_epochs:
        confirmed = RecoveredPredictions.of_pairs(masked, _recovery(params, tuned))

    rungs = climb(_masked(params, dev, units).scores(measures.rank_by), units, protected, settings.budget)
    margins = settings.non_inferiority_margin, settings.slices_margin
    judged = list(confirm(rungs, confirmed, measure, margins, confirmable))
    decision = decide(judged, protected, every_head(*test.shape), measure.label, confirmable)
    small = confirmed.smaller_model(decision.removed)
    kept = units.kept(decision.removed)
    unpruned = confirmed.evaluated.unmasked_logits
    smaller = next((rung.logits for rung in judged if rung.rung.removed == decision.removed), unpruned)

    shown = decision.removed or (judged[0].rung.removed if judged else ())  # where nothing can go the smallest tried
    if settings.recovery_epochs:
        sets = [("search", shown), *random_sets(shown, units, params.run.seed)]
        controls = outcomes.controls_frame(sets, confirmed, measure, measures)
        controls = pd.concat([controls, outcomes.recovery_frame(shown, confirmed, masked, measure, measures)])
    else:
        sets = [("search", shown), *control_sets(shown, units, tuned.encoder, params.run.seed)]
        controls = outcomes.controls_frame(sets, _masked(params, few, units), measure, measures)
    changed = outcomes.changed_pairs(test.table, confirmed.evaluated, smaller, measures)
    scores, reasons = split_metrics(test.table, smaller)
    undefined = {f"test_{name}": reason for name, reason in reasons.items()}
    metrics = outcomes.pruning_metrics(decision, units, confirmed, smaller, measure, measures, scores, changed, needed)

    others = _other_searches(params, tuned, units, protected, count_heads(decision.removed))
    DECISION.write(outcomes.decision_records(decision, [decision.removed, *others]))
    LADDER.write(outcomes.ladder_frame(judged, units))
    PRUNING_CONTROLS.write(controls)
    CHANGED_PAIRS.write(changed)
    deliver(small, tuned.model, tuned.tokenizer, kept)
    formats.write_json(paths.stage_metrics("pruning"), {**metrics, "undefined": undefined})
    record.metrics |= metrics
    tables = [paths.LADDER, paths.PRUNING_CONTROLS, paths.CHANGED_PAIRS, paths.DECISION]
    record.artifacts += [*tables, paths.stage_metrics("pruning")]
    if decision.removed:
        record.model = paths.DROP_IN_MODEL


def _masked(params: Params, target: AblationTarget, units: PrunableUnits) -> MaskedPredictions:
    temperature = schemas.metrics(paths.stage_metrics("head_ablation"), ("temperature",))["temperature"]
    return MaskedPredictions.of_target(target, units, temperature, params.data.slice_columns)


def _recovery(params: Params, tuned: TunedModel) -> Recovery:
    train, dev = (SPLIT_TABLES[path].read() for path in (paths.TRAIN, paths.DEV))
    if train.empty:
        raise InputError(
            f"params.yaml: pruning.recovery_epochs is {params.pruning.recovery_epochs}, but there are no training "
            f"pairs in {params.data.source}; set it to 0, or give pairs to train on"
        )
    return Recovery(tuned.model, tuned.tokenizer, train, dev, params)


def _other_searches(
    params: Params, tuned: TunedModel, units: PrunableUnits, protected: dict[Unit, str], heads: int
) -> Iterator[tuple[Unit, ...]]:
    """What searches on dev pairs drawn with other seeds remove of as many heads."""
    for seed in range(params.run.seed + 1, params.run.seed + params.pruning.seeds):
        drawn = with_values(params, "run", seed=seed)
        dev = load_target(drawn, tuned, SPLIT_TABLES[paths.DEV], params.pruning.search_pairs)
        score = _masked(params, dev, units).scores(dev.measures.rank_by)
        rungs = climb(score, units, protected, params.pruning.budget)
        yield next((rung.removed for rung in rungs if count_heads(rung.removed) >= heads), ()) if heads else ()


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
