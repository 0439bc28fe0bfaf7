"""Model families: an adapter each, the single place that knows how a family names its modules and joins them."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from operator import attrgetter
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedModel

from pipeline.core.errors import InputError
from pipeline.models.positions import EmbeddedPositions, RelativePositions, RotaryPositions


@dataclass(frozen=True)
class LayerPaths:
    """Where a family's encoder layer keeps its `LayerModules`, attributes of the same names.

    Attributes:
        attention: the module that reads the projections' outputs; it may hold ``output`` too.
    """

    attention: str
    projections: tuple[str, ...]
    output: str
    attention_norm: str
    expand: str
    activation: str
    contract: str
    feed_forward_norm: str


@dataclass(frozen=True)
class LayerModules:
    """Modules of one encoder layer by what they do.

    Attributes:
        projections: of queries, of keys and of values; or one of all three, end to end.
        output: projection of the heads' outputs, which enter it end to end, [..., head * head_dim].
        attention_norm: normalisation behind the attention and its residual, or before the attention.
        expand, activation, contract: the feed-forward part.
        feed_forward_norm: normalisation behind or before it, as attention_norm.
    """

    projections: tuple[nn.Linear, ...]
    output: nn.Linear
    attention_norm: nn.Module
    expand: nn.Linear
    activation: Callable[[Tensor], Tensor]
    contract: nn.Linear
    feed_forward_norm: nn.Module

    def query_key_value(self) -> tuple[list[Tensor], list[Tensor | None]]:
        """Weights [head * head_dim, d] and biases [head * head_dim] of the three projections, None without."""
        return _split(self.projections, 3)

    def expand_and_gate(self) -> tuple[list[Tensor], list[Tensor | None]]:
        """Weights and biases of the two halves of a gated ``expand``: what is activated, and what multiplies it."""
        return _split((self.expand,), 2)

    @property
    def value(self) -> nn.Linear:
        """The module that gives the values; `values` tells them from what else it gives."""
        return self.projections[-1]

    def values(self, projected: Tensor) -> Tensor:
        """Values of all heads end to end [..., head * head_dim], in the output of `value`."""
        return projected[..., -self.output.in_features :]


def _split(linears: tuple[nn.Linear, ...], parts: int) -> tuple[list[Tensor], list[Tensor | None]]:
    """Weights and biases of the equal parts that make up these layers' outputs, end to end."""
    weights = torch.cat([linear.weight.detach() for linear in linears]).chunk(parts)
    if linears[0].bias is None:
        return list(weights), [None] * parts
    return list(weights), list(torch.cat([linear.bias.detach() for linear in linears]).chunk(parts))


@runtime_checkable
class Chain(Protocol):
    """A bare encoder with a pooling and scoring modules of its own behind it, one score a pair."""

    pooling: str

    def score(self, pooled: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class Family:
    """Adapter of a family, with BERT's way to join the modules.

    Attributes:
        layers_path: of the encoder layers, below the base model.
        paths: of a layer's modules, below the layer.
        activation_key: the configuration's key of the activation's name.
        has_segments: whether token types are embedded, so that query and title differ by more than [SEP].
        norms_before: whether normalisation stands before attention and feed-forward part, which is gated then:
            ``expand`` gives what is activated and what it is multiplied by.
    """

    layers_path: str
    paths: LayerPaths
    activation_key: str = "hidden_act"
    has_segments: bool = True
    norms_before: bool = False

    def layers(self, model: PreTrainedModel) -> list[LayerModules]:
        single = {name: path for name, path in asdict(self.paths).items() if name not in ("projections", "attention")}
        return [
            LayerModules(
                projections=tuple(attrgetter(path)(layer) for path in self.paths.projections),
                **{name: attrgetter(path)(layer) for name, path in single.items()},
            )
            for layer in self.blocks(model)
        ]

    def blocks(self, model: PreTrainedModel) -> Sequence[nn.Module]:
        """The encoder layers themselves, whose modules stand at `paths`."""
        return list(attrgetter(self.layers_path)(model.base_model))

    def residual_module(self, model: PreTrainedModel) -> nn.Module | None:
        """Module of the last layer that adds the residual to the projected outputs of the heads.

        It takes both, [pair, position, d] each; None where the layer adds them itself.
        """
        return attrgetter(self.paths.output.rpartition(".")[0])(self.blocks(model)[-1])

    def narrow(self, attention: nn.Module, kept: Tensor, heads: int) -> None:
        """Adjust what an attention module holds beside its projections to fewer heads.

        Args:
            kept: rows of each projection that are kept, int64 [heads * head_dim].
            heads: their number, 1 or more.
        """

    def hidden_act(self, config: PretrainedConfig) -> Any:
        """Name of the activation, or the function itself."""
        return getattr(config, self.activation_key)

    def embed(self, model: PreTrainedModel, ids: Tensor, types: Tensor) -> Tensor:
        """Input of the first layer [pair, position, d] of ids and token types [pair, position]."""
        base: Any = model.base_model
        return base.embeddings(input_ids=ids, token_type_ids=types)

    def positions(self, model: PreTrainedModel) -> list[EmbeddedPositions]:
        """Positions in each layer's attention scores.

        Raises:
            InputError: the encoder has parts that are not known here.
        """
        return [EmbeddedPositions()] * model.config.num_hidden_layers

    def final_norm(self, model: PreTrainedModel) -> nn.Module:
        """What stands between the last layer and the pooling."""
        return nn.Identity()

    def pooling(self, model: PreTrainedModel) -> str:
        """Which of the last states are classified: "cls", the first position's, or "mean", of all positions."""
        return model.pooling if isinstance(model, Chain) else self._pooling(model.config)

    def outputs(self, model: PreTrainedModel) -> int:
        """Number of outputs: grades, or 1 for a score."""
        return 1 if isinstance(model, Chain) else int(model.config.num_labels or 0)

    def classify(self, model: PreTrainedModel, pooled: Tensor) -> Tensor:
        """Logits [row, output] of pooled states [row, d]."""
        return model.score(pooled) if isinstance(model, Chain) else self._classify(model, pooled)

    def _pooling(self, config: PretrainedConfig) -> str:
        return "cls"

    def _classify(self, model: Any, pooled: Tensor) -> Tensor:
        states, pooler = pooled[:, None], getattr(model.base_model, "pooler", None)  # both take the first position
        return model.classifier(states if pooler is None else pooler(states))


class Electra(Family):
    """ELECTRA, whose embeddings may be smaller than the states."""

    def embed(self, model: PreTrainedModel, ids: Tensor, types: Tensor) -> Tensor:
        base: Any = model.base_model
        project = getattr(base, "embeddings_project", nn.Identity())
        return project(super().embed(model, ids, types))


class DistilBert(Family):
    """DistilBERT: BERT without token types and pooler, other names."""

    def embed(self, model: PreTrainedModel, ids: Tensor, types: Tensor) -> Tensor:
        base: Any = model.base_model
        return base.embeddings(input_ids=ids)

    def residual_module(self, model: PreTrainedModel) -> None:
        return None

    def _classify(self, model: Any, pooled: Tensor) -> Tensor:
        return model.classifier(torch.relu(model.pre_classifier(pooled)))


class ModernBert(Family):
    """ModernBERT: norms before, gated feed-forward parts, rotary positions, sliding attention in most layers."""

    def embed(self, model: PreTrainedModel, ids: Tensor, types: Tensor) -> Tensor:
        base: Any = model.base_model
        return base.embeddings(input_ids=ids)

    def positions(self, model: PreTrainedModel) -> list[EmbeddedPositions]:
        config = model.config
        by_type = {name: _rotary_positions(model, name) for name in set(config.layer_types)}
        return [by_type[name] for name in config.layer_types]

    def residual_module(self, model: PreTrainedModel) -> None:
        return None

    def final_norm(self, model: PreTrainedModel) -> nn.Module:
        base: Any = model.base_model
        return base.final_norm

    def _pooling(self, config: PretrainedConfig) -> str:
        return config.classifier_pooling

    def _classify(self, model: Any, pooled: Tensor) -> Tensor:
        return model.classifier(model.head(pooled))


class DebertaV2(Family):
    """DeBERTa-v2 and -v3: BERT with disentangled attention, the pooler outside its base model."""

    def positions(self, model: PreTrainedModel) -> list[EmbeddedPositions]:
        base: Any = model.base_model
        if base.encoder.conv is not None:
            raise InputError(
                f"checkpoint {model.name_or_path} has a convolution beside its first layer (conv_kernel_size "
                f"{model.config.conv_kernel_size}): a head masked there changes it too, so what the head alone does "
                "is not defined; name a checkpoint without one, as all DeBERTa-v3"
            )
        return [_relative_positions(base.encoder, layer.attention.self) for layer in base.encoder.layer]

    def narrow(self, attention: Any, kept: Tensor, heads: int) -> None:
        attention.num_attention_heads = heads
        for name in ("pos_key_proj", "pos_query_proj"):
            if hasattr(attention, name):
                keep_outputs(getattr(attention, name), kept)

    def _classify(self, model: Any, pooled: Tensor) -> Tensor:
        return model.classifier(model.pooler(pooled[:, None]))


@torch.no_grad()
def keep_outputs(linear: nn.Linear, rows: Tensor) -> None:
    """Keep some outputs of a layer, int64 [row], in place."""
    linear.weight = nn.Parameter(linear.weight[rows].clone(), linear.weight.requires_grad)
    if linear.bias is not None:
        linear.bias = nn.Parameter(linear.bias[rows].clone(), linear.bias.requires_grad)
    linear.out_features = len(rows)


@torch.no_grad()
def keep_inputs(linear: nn.Linear, columns: Tensor) -> None:
    """Keep some inputs of a layer, int64 [column], in place."""
    linear.weight = nn.Parameter(linear.weight[:, columns].clone(), linear.weight.requires_grad)
    linear.in_features = len(columns)


@torch.no_grad()
def _rotary_positions(model: PreTrainedModel, layer_type: str) -> RotaryPositions:
    """Rotary positions of a layer type, as many as the configuration allows."""
    base: Any = model.base_model
    config = model.config
    kind = config.rope_parameters[layer_type]["rope_type"]
    if kind in ("dynamic", "longrope"):
        raise InputError(
            f"checkpoint {model.name_or_path} has rotary positions of type {kind!r}, whose angles follow the longest "
            "text of a batch: a pair has no logits of its own; set rope_type to 'default' in its config.json"
        )
    numbers = torch.arange(config.max_position_embeddings, device=model.device)
    cos, sin = base.rotary_emb(torch.empty(0, device=model.device), numbers[None], layer_type)
    window = config.sliding_window if layer_type == "sliding_attention" else None
    return RotaryPositions(cos[0], sin[0], window)


@torch.no_grad()
def _relative_positions(encoder: Any, attention: Any) -> EmbeddedPositions:
    """Relative positions of one layer; a score's divisor counts the kinds even where the encoder uses none."""
    kinds = [kind for kind in ("c2p", "p2c") if kind in attention.pos_att_type]
    keys = queries = None
    if attention.relative_attention:
        embeddings = encoder.get_rel_embedding()[: 2 * attention.pos_ebd_size]
        own = "" if attention.share_att_key else "pos_"

        def projected(name: str) -> Tensor:
            linear = getattr(attention, f"{own}{name}_proj")
            return linear(embeddings).unflatten(-1, (attention.num_attention_heads, -1)).transpose(0, 1).contiguous()

        keys = projected("key") if "c2p" in kinds else None
        queries = projected("query") if "p2c" in kinds else None
    return RelativePositions(len(kinds), keys, queries, _buckets(attention))


def _buckets(attention: Any) -> Callable[[int, int], Tensor]:
    # Imported here since it compiles functions, which the other families do without.
    from transformers.models.deberta_v2.modeling_deberta_v2 import build_relative_position

    def bucket(queries: int, keys: int) -> Tensor:
        span = attention.pos_ebd_size
        sizes = torch.empty(queries, 0), torch.empty(keys, 0)
        limits = attention.position_buckets, attention.max_relative_positions
        relative = build_relative_position(sizes[0], sizes[1], *limits)[0]
        return (relative + span).clamp(0, 2 * span - 1)

    return bucket


_BERT_LAYER = LayerPaths(
    attention="attention.self",
    projections=("attention.self.query", "attention.self.key", "attention.self.value"),
    output="attention.output.dense",
    attention_norm="attention.output.LayerNorm",
    expand="intermediate.dense",
    activation="intermediate.intermediate_act_fn",
    contract="output.dense",
    feed_forward_norm="output.LayerNorm",
)
_DISTILBERT_LAYER = LayerPaths(
    attention="attention",
    projections=("attention.q_lin", "attention.k_lin", "attention.v_lin"),
    output="attention.out_lin",
    attention_norm="sa_layer_norm",
    expand="ffn.lin1",
    activation="ffn.activation",
    contract="ffn.lin2",
    feed_forward_norm="output_layer_norm",
)
_MODERNBERT_LAYER = LayerPaths(
    attention="attn",
    projections=("attn.Wqkv",),
    output="attn.Wo",
    attention_norm="attn_norm",
    expand="mlp.Wi",
    activation="mlp.act",
    contract="mlp.Wo",
    feed_forward_norm="mlp_norm",
)
_DEBERTA_LAYER = replace(
    _BERT_LAYER, projections=("attention.self.query_proj", "attention.self.key_proj", "attention.self.value_proj")
)

_BERT = Family("encoder.layer", _BERT_LAYER)
_ADAPTERS: dict[str, Family] = {
    "bert": _BERT,
    "roberta": _BERT,
    "xlm-roberta": _BERT,
    "electra": Electra("encoder.layer", _BERT_LAYER),
    "ernie": _BERT,
    "camembert": _BERT,
    "distilbert": DistilBert("transformer.layer", _DISTILBERT_LAYER, "activation", has_segments=False),
    "modernbert": ModernBert("layers", _MODERNBERT_LAYER, "hidden_activation", has_segments=False, norms_before=True),
    "deberta-v2": DebertaV2("encoder.layer", _DEBERTA_LAYER),
}
FAMILIES = tuple(_ADAPTERS)  # the model_type of their configurations
# Their position embeddings start behind the padding token's index, so that fewer are left for tokens.
OFFSET_FAMILIES = ("roberta", "xlm-roberta", "camembert")


def family_of(model: PreTrainedModel) -> Family:
    """The adapter of a model of one of FAMILIES."""
    return _ADAPTERS[model.config.model_type]
