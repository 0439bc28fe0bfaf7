"""The [CLS] attention under the ablation stages' masks -> edges between heads, and relay heads with what they mediate.

Writes in reports/dependency/ edges.csv (every head masked alone, on every later head), edges_term_match.csv (the
term-match heads masked together, on every later head), mediation.csv (the heads of upper layers: relay heads chosen on
dev, judged on test), joint_mediation.csv (what many of their outputs mediate jointly) and metrics.json; and
data/dependency/example_cls_attention.json ([CLS]'s attention of the strongest relay head on a few pairs).
"""

from pipeline.ablation.sweep import load_target, load_tuned_model
from pipeline.analysis import attention_edges, mediation, relay_heads
from pipeline.core import formats, paths, schemas
from pipeline.core.config import Params
from pipeline.core.heads import every_head
from pipeline.stats.bootstrap import QuerySample, sample_queries
from pipeline.tables.dependency import EDGES, EDGES_TERM_MATCH, EXAMPLE_CLS_ATTENTION, JOINT_MEDIATION, MEDIATION
from pipeline.tables.group_ablation import GROUPS
from pipeline.tables.prepare import SPLIT_TABLES
from pipeline.tracking import Record


def main(params: Params, record: Record) -> None:
    tuned, cap = load_tuned_model(params), params.group_ablation.max_pairs
    test, dev = (load_target(params, tuned, SPLIT_TABLES[split], cap) for split in (paths.TEST, paths.DEV))
    by_head, by_group = (
        schemas.read_arrays(file, attention_edges.ClsAttentionSums) for file in (paths.HEAD_ROWS, paths.GROUP_ROWS)
    )
    matchers = relay_heads.masked_matchers(GROUPS[test.measures.kind].read())

    targets = list(range(1, test.shape[0]))
    edges = attention_edges.head_edges(by_head, every_head(*test.shape), targets, _head_sample(params))
    matchers_masked = by_group.differences(1 if matchers else 0)
    group_edges = attention_edges.attention_changes(by_group, matchers_masked, targets, test.sample.bootstrap)

    candidates = relay_heads.relay_candidates(*test.shape, matchers)
    chosen = relay_heads.chosen_on_dev(dev, candidates)
    alone, jointly = mediation.single_heads(candidates, cls_only=True), mediation.joint_outputs(chosen)
    logits = mediation.mediation_logits(test, matchers, [*alone, *jointly])
    relays = relay_heads.relay_table(chosen, test, by_group, logits.through(slice(len(alone))))
    joint_logits = logits.through(slice(len(alone), None))
    joint = mediation.joint_mediation(jointly, joint_logits, test.measures, test.evaluated(joint_logits.unmasked))
    examples = relay_heads.example_cls_attention(test, matchers, relays, params.attention.example_pairs)
    metrics = relay_heads.dependency_metrics(edges, relays, joint)

    EDGES.write(edges)
    EDGES_TERM_MATCH.write(group_edges)
    MEDIATION[test.measures.kind].write(relays)
    JOINT_MEDIATION[test.measures.kind].write(joint)
    EXAMPLE_CLS_ATTENTION.write(examples)
    formats.write_json(paths.stage_metrics("dependency"), metrics)
    record.metrics.update(metrics)
    tables = [paths.EDGES, paths.EDGES_TERM_MATCH, paths.MEDIATION, paths.JOINT_MEDIATION]
    record.artifacts += [*tables, paths.stage_metrics("dependency")]


def _head_sample(params: Params) -> QuerySample:
    """Queries of the pairs on which every head was masked alone."""
    queries = SPLIT_TABLES[paths.TEST].read()["query_id"].to_numpy()
    pairs = sample_queries(queries, params.head_ablation.max_pairs, params.run.seed)
    return QuerySample(queries[pairs], params.run.bootstrap_resamples, params.run.seed)
