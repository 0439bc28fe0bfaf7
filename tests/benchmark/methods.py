"""The ways to mask every head alone that are compared. Each gives logits [head, pair, grade] of the heads asked for."""

from collections.abc import Callable, Iterable
from functools import partial

import numpy as np
import torch
from captum.attr import LayerFeatureAblation
from torch import Tensor
from transformers import PreTrainedModel

from pipeline.ablation.encoder import AblatableEncoder
from pipeline.ablation.engine import AblationEngine
from pipeline.ablation.precision import BFLOAT16, FLOAT32, Precision
from pipeline.ablation.stack_size import stack_tokens
from pipeline.ablation.sweep import Decisions, rounded_sweep, sweep_workers
from pipeline.core.config import load_params, with_values
from pipeline.models.inference import collate, length_batches
from pipeline.stats.measure_sets import GRADER
from tests.benchmark.nnsight_peer import traced_forward
from tests.benchmark.onnx_peer import masked_forward
from tests.benchmark.workload import Workload
from tests.support.reference import masked_heads

BATCH = 32  # pairs a forward, for the methods that batch by pairs
BATCH_TOKENS = 4096

Method = Callable[[Workload, np.ndarray], np.ndarray]


def in_order(workload: Workload) -> list[np.ndarray]:
    return np.array_split(np.arange(len(workload.pairs)), -(-len(workload.pairs) // BATCH))


def by_length(workload: Workload) -> list[np.ndarray]:
    return list(length_batches(workload.pairs.lengths, BATCH_TOKENS))


Forward = Callable[[PreTrainedModel, dict[str, Tensor], np.ndarray], np.ndarray]


def forward_per_head(
    workload: Workload, masks: np.ndarray, chunks: Callable[[Workload], Iterable[np.ndarray]], forward: Forward
) -> np.ndarray:
    """Logits of one forward for each mask and chunk, padded to the chunk's longest pair."""
    logits = np.empty((len(masks), len(workload.pairs), workload.model.config.num_labels), dtype=np.float32)
    for number, mask in enumerate(masks):
        for pairs in chunks(workload):
            inputs = collate(workload.pairs, pairs, 0, workload.model.device)
            logits[number, pairs] = forward(workload.model, inputs, mask)
    return logits


@torch.inference_mode()
def hooked(model: PreTrainedModel, inputs: dict[str, Tensor], mask: np.ndarray, length: int = 0) -> np.ndarray:
    """The framework's forward with a hook, padded to `length` at least."""
    pad = (0, max(0, length - inputs["input_ids"].shape[1]))
    padded = {name: torch.nn.functional.pad(values, pad) for name, values in inputs.items()}
    with masked_heads(model, mask):
        return model(**padded).logits.cpu().numpy()


def captum(workload: Workload, masks: np.ndarray) -> np.ndarray:
    """LayerFeatureAblation on the input of attention.output.dense, one feature a head, all heads of a layer a call."""
    _, heads = workload.shape
    wanted = {int(np.flatnonzero(mask.reshape(-1) == 0)[0]): number for number, mask in enumerate(masks)}
    logits = np.empty((len(masks), len(workload.pairs), workload.model.config.num_labels), dtype=np.float32)
    for layer in sorted({head // heads for head in wanted}):
        dense = workload.model.base_model.encoder.layer[layer].attention.output.dense
        features = torch.arange(heads).repeat_interleave(dense.in_features // heads)
        for pairs in in_order(workload):
            inputs = collate(workload.pairs, pairs, 0, workload.model.device)
            seen: list[np.ndarray] = []

            def forward(ids, types, mask, seen=seen):
                out = workload.model(input_ids=ids, token_type_ids=types, attention_mask=mask).logits
                seen.append(out.detach().numpy())
                return out[:, 0]

            with torch.no_grad():
                LayerFeatureAblation(forward, dense).attribute(
                    (inputs["input_ids"], inputs["token_type_ids"]),
                    layer_baselines=0,
                    additional_forward_args=(inputs["attention_mask"],),
                    layer_mask=features,
                    attribute_to_layer_input=True,
                )
            for head in range(heads):
                if (number := wanted.get(layer * heads + head)) is not None:
                    logits[number, pairs] = seen[head - heads]
    return logits


def engine(workload: Workload, masks: np.ndarray) -> np.ndarray:
    return _engine(workload, FLOAT32).evaluate(workload.pairs, masks).masked_logits


def rounded(workload: Workload, masks: np.ndarray, precision: Precision) -> np.ndarray:
    """The engine in less than float32, its close calls exact again."""
    engines = (_engine(workload, chosen) for chosen in (FLOAT32, precision))
    decisions = Decisions(GRADER, np.arange(len(workload.pairs)))
    return rounded_sweep(*engines, workload.pairs, masks, decisions).masked_logits


def _engine(workload: Workload, precision: Precision) -> AblationEngine:
    params = with_values(load_params(), "compute", workers=1, backend="local")  # a pool has data/model, not this one
    encoder, settings = AblatableEncoder.from_pretrained_model(workload.model, precision), params.ablation
    tokens = stack_tokens(settings.batch_tokens, encoder)
    workers = sweep_workers(workload.model, params.compute, settings.threads)
    return AblationEngine(encoder, tokens, workers=workers, unit_interventions=settings.unit_interventions)


# Heads timed in a repetition: methods that run one forward a head cost the same for each, the others need all of them.
METHODS: dict[str, tuple[Method, int | None]] = {
    "padded_128": (partial(forward_per_head, chunks=in_order, forward=partial(hooked, length=128)), 1),
    "padded_batch": (partial(forward_per_head, chunks=in_order, forward=hooked), 2),
    "sorted": (partial(forward_per_head, chunks=by_length, forward=hooked), 3),
    "nnsight_sorted": (partial(forward_per_head, chunks=by_length, forward=traced_forward), 3),
    "onnx_sorted": (partial(forward_per_head, chunks=by_length, forward=masked_forward), 3),
    "captum": (captum, 12),
    "engine_fp32": (engine, None),
    "engine_bf16": (partial(rounded, precision=BFLOAT16), None),
}
