"""Results of every stage -> report and findings: reports/report.html, reports/figures/,
reports/findings.json, the run in a dozen values, reports/headline.json, and the explorer of its heads,
reports/explorer.html, with its data, reports/explorer.json.
"""

from collections.abc import Sequence
from dataclasses import asdict
from math import nan
from typing import Any

import pandas as pd

from pipeline.core import formats, paths, schemas
from pipeline.core.config import Params
from pipeline.core.run_names import MODEL_METRICS
from pipeline.data.scripts import unsegmented_languages
from pipeline.findings.baselines import graders_compared, rankers_compared
from pipeline.findings.judge import judge_findings
from pipeline.findings.select import CLS_POOLING, Tables
from pipeline.findings.verdict import Finding
from pipeline.report import canvas, figures, html
from pipeline.report.explorer import page
from pipeline.report.explorer.build import ExplorerInputs, build_explorer
from pipeline.report.reordered_queries import reordered_queries
from pipeline.report.results import ExamplePair, PruningResults, Results, headline, run_setting
from pipeline.report.tables import Table
from pipeline.stats.measure_sets import RANKER, measure_set
from pipeline.tables import attention, dependency, grading, group_ablation, head_ablation, pruning
from pipeline.tables.prepare import SPLIT_TABLES
from pipeline.tables.report import FINDINGS
from pipeline.tracking import Record

PRUNING_KEYS = ("confirmed", "pairs", "pairs_needed", "parameters_removed", "blocks_removed")
PAIR_KEYS = ("query", "title", "grade", "tokens", "segment")


def main(params: Params, record: Record) -> None:
    results = read_results(params)
    if advice := canvas.font_advice(results.texts()):
        print(advice)
    findings = judge_findings(results.tables, _compare_models(params))
    gallery = figures.draw_figures(results)

    FINDINGS.write([asdict(finding) for finding in findings])
    figures.write_figures(paths.FIGURES, gallery)
    formats.write_text(paths.REPORT, html.render_page(results, findings, gallery, _reordered_queries(results)))
    explorer = build_explorer(_explorer_inputs(results), params.report.explorer_pairs, params.report.explorer_mib)
    formats.write_text(paths.EXPLORER, page.render_page(explorer))
    formats.write_text(paths.EXPLORER_DATA, page.explorer_json(explorer))
    values = headline(results, findings)
    formats.write_json(paths.HEADLINE, values)
    record.metrics = {name: value for name, value in values.items() if name != "report"}
    record.artifacts += [paths.REPORT, paths.FIGURES, paths.FINDINGS, paths.HEADLINE]
    record.artifacts += [paths.EXPLORER, paths.EXPLORER_DATA]


def _compare_models(params: Params) -> Finding:
    kind = measure_set(params.is_ranker).kind
    bert, bilstm = grading.TEST_PREDICTIONS[kind].read(), grading.BILSTM_PREDICTIONS[kind].read()
    compared = rankers_compared if params.is_ranker else graders_compared
    return compared(bert, bilstm, params.run.bootstrap_resamples, params.run.seed)


def _reordered_queries(results: Results) -> list[Table]:
    """What breaks where a ranker's needed heads are masked; a grader orders nothing."""
    if results.measures is not RANKER:
        return []
    sweep = formats.read_safetensors(head_ablation.LOGITS.path, list(head_ablation.LOGITS.keys))
    return reordered_queries(results, sweep, SPLIT_TABLES[paths.TEST].read())


def _explorer_inputs(results: Results) -> ExplorerInputs:
    mapped = attention.EXPLORER_PAIRS.read()
    phases = ("before", "after") if results.tables.has_before else ("after",)
    names = [f"{phase}_{number}" for number in range(len(mapped)) for phase in phases]
    return ExplorerInputs(
        results=results,
        test=SPLIT_TABLES[paths.TEST].read(),
        head_sweep=formats.read_safetensors(head_ablation.LOGITS.path, list(head_ablation.LOGITS.keys)),
        group_sweep=formats.read_safetensors(group_ablation.LOGITS.path, list(group_ablation.LOGITS.keys)),
        attention_shift=attention.ATTENTION_SHIFT.read(),
        distances=formats.read_safetensors(paths.HEAD_DISTANCES, ["distances"])["distances"],
        mapped=mapped,
        levels=formats.read_safetensors(paths.EXPLORER_MAPS, names),
    )


def read_results(params: Params) -> Results:
    """Read the results that the report shows, from the files of the earlier stages."""
    kind = measure_set(params.is_ranker).kind
    return Results(
        setting=run_setting(params),
        grades=params.data.grade_names,
        pairs=len(formats.read_safetensors(paths.GROUP_LOGITS, ["pairs"])["pairs"]),
        tables=_read_tables(params),
        unlabelled_heads=head_ablation.UNLABELLED_HEADS[kind].read(),
        head_embedding=attention.HEAD_EMBEDDING.read(),
        pruning=_read_pruning(params),
        edges=dependency.EDGES.read(),
        example_cls_attention=dependency.EXAMPLE_CLS_ATTENTION.read(),
        profiles=attention.PROFILES.read(),
        curve=grading.CURVE[kind].read().dropna(subset=["train_loss"]),
        prepare=schemas.metrics(paths.stage_metrics("prepare")),
        finetune=schemas.metrics(paths.stage_metrics("finetune"), MODEL_METRICS[kind]),
        bilstm=schemas.metrics(paths.stage_metrics("bilstm"), MODEL_METRICS[kind][:1]),
        attention=schemas.metrics(paths.stage_metrics("attention")),
        head_ablation=schemas.metrics(paths.stage_metrics("head_ablation"), ("queries", "pairs")),
        example_pairs=_read_example_pairs(("before", "after") if params.model.has_before else ("after",)),
        unsegmented=unsegmented_languages(SPLIT_TABLES[paths.TEST].read()[["query", "title"]].to_numpy().ravel()),
        example_heads=params.report.example_heads,
    )


def _read_tables(params: Params) -> Tables:
    measures = measure_set(params.is_ranker)
    return Tables(
        heads=head_ablation.HEADS[measures.kind].read(),
        head_scales=head_ablation.SCALES.read(),
        head_slices=head_ablation.HEAD_SLICES.read(),
        groups=group_ablation.GROUPS[measures.kind].read(),
        group_scales=group_ablation.SCALES.read(),
        controls=group_ablation.CONTROLS.read(),
        contrasts=group_ablation.CONTRASTS.read(),
        slices=group_ablation.SLICES.read(),
        labels=attention.LABELS.read(),
        term_match_shift=attention.TERM_MATCH_SHIFT.read(),
        mediation=dependency.MEDIATION[measures.kind].read(),
        measures=measures,
        primary=measures.primary(params.ablation.primary_measure),
        largest_gains=_largest_gains(),
        grades=params.data.grade_names,
        equivalence_margin=params.ablation.equivalence_margin,
        label_threshold=params.attention.label_threshold,
        has_before=params.model.has_before,
        pooling=schemas.metrics(paths.stage_metrics("finetune")).get("pooling", CLS_POOLING),
        joint_mediation=dependency.JOINT_MEDIATION[measures.kind].read(),
    )


def _read_pruning(params: Params) -> PruningResults:
    return PruningResults(
        ladder=pruning.LADDER.read(),
        controls=pruning.PRUNING_CONTROLS.read(),
        decision=pd.DataFrame(pruning.DECISION.read()),
        metrics=schemas.metrics(paths.stage_metrics("pruning"), PRUNING_KEYS),
        measure=measure_set(params.is_ranker).guarded(params.pruning.measure),
        margin=params.pruning.non_inferiority_margin,
        seeds=params.pruning.seeds,
        epochs=params.pruning.recovery_epochs,
        study=_read_study(params),
    )


def _read_study(params: Params) -> dict[str, Any] | None:
    """The study of pruning where it is of the same data and model."""
    if not paths.PRUNING_STUDY.exists():
        return None
    study = formats.read_json(paths.PRUNING_STUDY)
    return study if (study["data"], study["model"]) == (params.data.source_name, params.model.name) else None


def _largest_gains() -> tuple[float, float]:
    keys = ("largest_gain", "largest_gain_by_chance")
    values = schemas.metrics(paths.stage_metrics("head_ablation"), keys)
    largest, by_chance = (nan if values[key] is None else float(values[key]) for key in keys)
    return largest, by_chance


def _read_example_pairs(phases: Sequence[str]) -> list[ExamplePair]:
    """Example pairs with their maps in these phases."""
    described = attention.EXAMPLE_PAIRS.read()
    names = [f"{phase}_{index}" for index in range(len(described)) for phase in phases]
    maps = formats.read_safetensors(paths.MAPS, names)
    return [
        ExamplePair(
            **{key: pair[key] for key in PAIR_KEYS}, before=maps.get(f"before_{index}"), after=maps[f"after_{index}"]
        )
        for index, pair in enumerate(described)
    ]
