"""Attention of every head before and after fine-tuning: dev pairs -> data/attention/, reports/attention/.

Where no model before fine-tuning is at hand, what would compare with it has no rows, and nothing is said of "before".

Writes profiles.csv (every head's score on each function of `pipeline.attention.head_functions`), labels.csv (the same
against its control, and what the head writes: what each head does), attention_shift.csv, attention_shift_mean.csv and
term_match_shift.csv (what fine-tuning changed, per head, averaged over heads, and in the term-match heads),
head_embedding.csv (heads that attend alike lie together), maps.safetensors and example_pairs.json (whole maps of a few
pairs, and their tokens), explorer_maps.safetensors and explorer_pairs.json (maps of the test pairs that the explorer
chooses from), head_distances.safetensors, metrics.json.
"""

import numpy as np
import pandas as pd
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from pipeline.attention import head_functions, head_labels
from pipeline.attention.attention_shift import AttentionShift, Shifts, shift_counts
from pipeline.attention.example_pairs import MOST_MAPPED, candidate_pairs, describe_pair, example_pairs
from pipeline.attention.explorer_maps import describe_mapped_pair, level_maps
from pipeline.attention.head_functions import pair_tokens
from pipeline.attention.head_labels import Evidence
from pipeline.attention.head_similarity import compared_pairs, head_distances, head_embedding
from pipeline.attention.maps import attention_maps
from pipeline.attention.scoring import AttentionScorer, Scores
from pipeline.core import formats, paths
from pipeline.core.config import Params
from pipeline.models import checkpoints
from pipeline.models.checkpoints import dimensions
from pipeline.models.finetuning import fine_tune_on_shuffled_grades
from pipeline.models.tokenization import EncodedPairs, encode_split
from pipeline.models.vocabularies import add_tokens, check_same_heads, check_vocabulary
from pipeline.stats.bootstrap import QuerySample, half_of_queries, sample_queries
from pipeline.tables.attention import (
    ATTENTION_SHIFT,
    ATTENTION_SHIFT_MEAN,
    EXAMPLE_PAIRS,
    EXPLORER_PAIRS,
    HEAD_DISTANCES,
    HEAD_EMBEDDING,
    LABELS,
    PROFILES,
    TERM_MATCH_SHIFT,
)
from pipeline.tables.prepare import SPLIT_TABLES
from pipeline.tracking import Record


def main(params: Params, record: Record) -> None:
    settings, seed = params.attention, params.run.seed
    train, dev = SPLIT_TABLES[paths.TRAIN].read(), SPLIT_TABLES[paths.DEV].read()
    pairs = dev.iloc[sample_queries(dev["query_id"].to_numpy(), settings.max_pairs, seed)]
    models, tokenizer = _load(params, train)
    encoded = encode_split(tokenizer, pairs, params.model.max_length)
    tokens = pair_tokens(tokenizer, encoded, pairs)
    sample = QuerySample(pairs["query_id"].to_numpy(), params.run.bootstrap_resamples, seed)

    scorers = {phase: AttentionScorer(model, encoded, tokens, settings.batch_tokens) for phase, model in models.items()}
    chances = np.stack([head_functions.chance(*head_functions.weights(pair)) for pair in tokens])
    after, evidence = scorers["after"].evidence(chances, settings.broad_entropy, seed)
    scores = {phase: after if phase == "after" else scorer.scores() for phase, scorer in scorers.items()}
    profiles = head_labels.attention_profiles({phase: found.functions for phase, found in scores.items()}, chances)
    labels = head_labels.label_heads(evidence, sample, settings.label_threshold)
    metrics = head_labels.profile_metrics(profiles, chances) | head_labels.label_counts(labels)
    shifts = Shifts(ATTENTION_SHIFT.empty(), ATTENTION_SHIFT_MEAN.empty(), TERM_MATCH_SHIFT.empty())
    if "before" in scores:
        shift = _attention_shift(scores["before"], evidence, sample, params)
        shifts = shift.measure(*after)
        metrics |= shift_counts(shifts.heads)
        if settings.drift_null:
            drifted = AttentionScorer(_drifted(params, train, dev), encoded, tokens, settings.batch_tokens)
            null = shift.measure(*drifted.scores())
            shifts = shifts.with_null(null)
            metrics |= shift_counts(null.heads, "null_")
    compared = compared_pairs(encoded)
    metrics["similarity_pairs"] = len(compared)
    distances = head_distances(models["after"], compared, models["after"].config.pad_token_id, settings.batch_tokens)
    embedding = head_embedding(distances, *dimensions(models["after"]))
    embedding = embedding.merge(head_labels.first_label(labels), how="left")
    examples = example_pairs(pairs, encoded, tokens, settings.example_pairs)
    maps = {
        f"{phase}_{number}": attention_map[..., :MOST_MAPPED, :MOST_MAPPED]
        for phase, model in models.items()
        for number, attention_map in enumerate(attention_maps(model, encoded, examples))
    }

    rows, masked, masked_encoded = _masked_pairs(params, tokenizer)
    mapped = candidate_pairs(masked, masked_encoded.lengths, params.report.explorer_pairs)

    PROFILES.write(profiles)
    LABELS.write(labels)
    ATTENTION_SHIFT.write(shifts.heads)
    ATTENTION_SHIFT_MEAN.write(shifts.mean)
    TERM_MATCH_SHIFT.write(shifts.term_match)
    HEAD_EMBEDDING.write(embedding)
    formats.write_safetensors(paths.MAPS, maps)
    EXAMPLE_PAIRS.write([describe_pair(tokenizer, encoded, pairs, pair) for pair in examples])
    formats.write_safetensors(paths.EXPLORER_MAPS, level_maps(models, masked_encoded, mapped))
    EXPLORER_PAIRS.write(
        [describe_mapped_pair(tokenizer, masked_encoded, masked, int(rows[pair]), pair) for pair in mapped]
    )
    HEAD_DISTANCES.write({"distances": distances})
    formats.write_json(paths.stage_metrics("attention"), metrics)
    record.metrics = metrics
    shift_tables = [paths.ATTENTION_SHIFT, paths.ATTENTION_SHIFT_MEAN, paths.TERM_MATCH_SHIFT]
    tables = [paths.PROFILES, paths.LABELS, *shift_tables, paths.HEAD_EMBEDDING]
    record.artifacts = [*tables, paths.stage_metrics("attention"), paths.MAPS, paths.EXAMPLE_PAIRS]


def _load(params: Params, train: pd.DataFrame) -> tuple[dict[str, PreTrainedModel], PreTrainedTokenizerFast]:
    """The model of each phase that there is, and the tokenizer they share."""
    after = checkpoints.load_tuned(paths.MODEL, checkpoints.pick_device(params.run.device), "eager")
    if not params.model.has_before:
        return {"after": after[0]}, after[1]
    before, tokenizer = _load_before(params, train)
    vocabulary = after[1].get_vocab()
    check_same_heads(dimensions(before), dimensions(after[0]))
    check_vocabulary(tokenizer.get_vocab(), vocabulary)
    add_tokens(before, vocabulary)
    return {"before": before, "after": after[0]}, after[1]


def _masked_pairs(params: Params, tokenizer: PreTrainedTokenizerFast) -> tuple[np.ndarray, pd.DataFrame, EncodedPairs]:
    """The test pairs on which single heads will be masked: their rows in the split, their table, themselves."""
    test = SPLIT_TABLES[paths.TEST].read()
    rows = sample_queries(test["query_id"].to_numpy(), params.head_ablation.max_pairs, params.run.seed)
    return rows, test.iloc[rows], encode_split(tokenizer, test.iloc[rows], params.model.max_length)


def _attention_shift(before: Scores, evidence: Evidence, sample: QuerySample, params: Params) -> AttentionShift:
    """The measurement of what changed; T1 judges term-match heads on other pairs than those that chose them."""
    half = half_of_queries(sample.query_ids, params.run.seed)
    labels = head_labels.label_heads(evidence.subset(half), sample.subset(half), params.attention.label_threshold)
    return AttentionShift(*before, sample, head_labels.labelled_heads(labels, "term_match"), half)


def _drifted(params: Params, train: pd.DataFrame, dev: pd.DataFrame) -> PreTrainedModel:
    """The drift null: the model fine-tuned like the real one, on shuffled grades."""
    return fine_tune_on_shuffled_grades(_load_before(params, train), train, dev, params)


def _load_before(params: Params, train: pd.DataFrame) -> checkpoints.Loaded:
    texts = [*train["query"], *train["title"]]
    return checkpoints.load_before(params, texts, checkpoints.pick_device(params.run.device), "eager")
