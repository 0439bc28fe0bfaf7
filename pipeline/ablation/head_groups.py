"""Groups of heads masked together, as masks [mask, layer, head] and as a frame: the experimental design."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, combinations, product
from math import comb, prod

import numpy as np
import pandas as pd

from pipeline.core.config import GroupAblation
from pipeline.core.errors import InputError
from pipeline.core.heads import Head, every_head

# F1, F2, F3: the functions of the lower heads; word_order takes whichever neighbour a head reads.
GROUP_FUNCTIONS = {
    "term_match": ("term_match",),
    "segmentation": ("segmentation",),
    "previous_term": ("previous_term",),
    "next_term": ("next_term",),
    "word_order": ("previous_term", "next_term"),
}
MATCHERS = "term_match"  # the group whose relay heads the dependency stage looks for
SAFE_SHARE = 0.2  # of all heads: the article masks as many at random without a loss
STRONGEST = 2  # heads of a function that another's random groups may have to do without
CONTROLLED = ("term_match", "segmentation", "word_order")  # those compared with layer-matched random groups


@dataclass(frozen=True)
class Group:
    """Heads masked together. `replicate` numbers random groups of one name, `k` the best heads of top_k groups."""

    group_type: str
    group: str
    heads: tuple[Head, ...]
    replicate: int = 0
    k: int | None = None


UNMASKED = Group("unmasked", "unmasked", ())
RANDOM = ("random_share", "random_k", "layer_matched")  # group types whose groups are draws


def choose_groups(
    settings: GroupAblation, labels: pd.DataFrame, importance: pd.DataFrame, layers: int, heads: int, seed: int
) -> list[Group]:
    """All groups of the experimental design; the user's are checked first, so that a wrong one costs no time."""
    users = user_groups(settings.groups, layers, heads)
    few, many = settings.random_groups_per_share, settings.random_groups_per_safe_share
    replicates = {share: many if share <= SAFE_SHARE else few for share in settings.random_shares}
    functional = function_groups(labels, settings.k)
    draws = settings.random_control_groups
    matched = [layer_matched_groups(group, heads, draws, seed) for group in functional if group.group in CONTROLLED]
    return [
        *random_share_groups(layers, heads, replicates, seed),
        *layer_groups(layers, heads),
        *half_groups(layers, heads),
        *functional,
        *lower_except_groups(functional, layers, heads),
        *top_k_groups(labels, settings.max_top_k),
        *random_k_groups(layers, heads, settings.k, draws, seed),
        *chain.from_iterable(matched),
        *removal_orders(importance, settings.random_shares),
        *users,
    ]


def matchers_and_controls(groups: Sequence[Group]) -> np.ndarray:
    """Which groups are that of the term-match heads, if any, and its layer-matched random ones, bool [group].

    In the order of `choose_groups` it comes before them.
    """
    chosen = [group.group == MATCHERS and group.group_type in ("function", "layer_matched") for group in groups]
    return np.array(chosen, dtype=bool)


def head_mask(heads: Iterable[Head], layers: int, heads_in_layer: int) -> np.ndarray:
    """Mask of heads, multipliers float32 [layer, head]: 0 for these heads, 1 elsewhere."""
    mask = np.ones((layers, heads_in_layer), dtype=np.float32)
    for layer, head in heads:
        mask[layer, head] = 0
    return mask


def group_masks(groups: Sequence[Group], layers: int, heads: int) -> np.ndarray:
    """Masks float32 [mask, layer, head], each group's `head_mask`."""
    masks = [head_mask(group.heads, layers, heads) for group in groups]
    return np.array(masks, dtype=np.float32).reshape(-1, layers, heads)


def group_frame(groups: Sequence[Group]) -> pd.DataFrame:
    """The groups as `tables.group_ablation.GROUPS` names them."""
    return pd.DataFrame(
        {
            "group_type": [group.group_type for group in groups],
            "group": [group.group for group in groups],
            "replicate": [group.replicate for group in groups],
            "k": pd.array([group.k for group in groups], dtype="Int64"),
            "heads_masked": [len(group.heads) for group in groups],
            "members": [" ".join(f"{layer}.{head}" for layer, head in group.heads) for group in groups],
        }
    )


def single_head_groups(layers: int, heads: int) -> list[Group]:
    """S1: single-head groups, by layer, then head."""
    return [Group("head", head.short, (head,)) for head in every_head(layers, heads)]


def random_heads(pool: Sequence[Head], count: int, rng: np.random.Generator) -> tuple[Head, ...]:
    """Random sample of `count` heads without replacement, in the pool's order."""
    return tuple(pool[index] for index in sorted(rng.choice(len(pool), count, replace=False)))


def random_share_groups(layers: int, heads: int, replicates: Mapping[float, int], seed: int) -> list[Group]:
    """R1: random sets of each share of all heads (at least one head), as many as `replicates` says of the share."""
    rng, pool = np.random.default_rng([seed, 1]), every_head(layers, heads)
    return [
        Group("random_share", f"{share:g}", random_heads(pool, max(1, round(share * len(pool))), rng), replicate)
        for share, count in replicates.items()
        for replicate in range(count)
    ]


def random_k_groups(layers: int, heads: int, k: int, replicates: int, seed: int) -> list[Group]:
    """Random sets of k heads, the article's control of F3, `replicates` times."""
    rng, pool = np.random.default_rng([seed, 2]), every_head(layers, heads)
    return [
        Group("random_k", "random", random_heads(pool, min(k, len(pool)), rng), replicate)
        for replicate in range(replicates)
    ]


def layer_groups(layers: int, heads: int) -> list[Group]:
    """R2: every head of one layer."""
    return [Group("layer", str(layer), _layer(layer, heads)) for layer in range(layers)]


def _layer(layer: int, heads: int) -> tuple[Head, ...]:
    return tuple(Head(layer, head) for head in range(heads))


def half_groups(layers: int, heads: int) -> list[Group]:
    """R2: lower half of the layers (the smaller where their number is odd) and upper half; none for one layer."""
    lower = lower_half(layers, heads)
    if not lower:
        return []
    upper = tuple(head for head in every_head(layers, heads) if head not in lower)
    return [Group("half", "lower", lower), Group("half", "upper", upper)]


def lower_half(layers: int, heads: int) -> tuple[Head, ...]:
    return tuple(every_head(layers // 2, heads))


def ranked_heads(labels: pd.DataFrame, name: str) -> list[Head]:
    """Heads ranked by the lower confidence bound of the written difference for the function `name`.

    Args:
        labels: layer, head, function, written_difference_low; on dev. Heads without a bound are left out.
    """
    heads = labels[labels["function"].isin(GROUP_FUNCTIONS[name])].groupby(["layer", "head"])
    bounds = heads["written_difference_low"].max().dropna().sort_values(ascending=False, kind="stable")
    return [Head(int(layer), int(head)) for layer, head in bounds.index]


def strongest_heads(labels: pd.DataFrame) -> dict[str, list[Head]]:
    """The STRONGEST heads of each of CONTROLLED."""
    return {name: ranked_heads(labels, name)[:STRONGEST] for name in CONTROLLED}


def function_groups(labels: pd.DataFrame, k: int) -> list[Group]:
    """F1-F3: functional groups, the k best low heads of each of FUNCTIONS; a function without any has no group.

    The article's functions are those of heads in the low layers: of the lower half, or of a single layer.
    """
    low = labels[labels["layer"] < max(1, (labels["layer"].max() + 1) // 2)]
    best = {name: tuple(sorted(ranked_heads(low, name)[:k])) for name in GROUP_FUNCTIONS}
    return [Group("function", name, heads) for name, heads in best.items() if heads]


def top_k_groups(labels: pd.DataFrame, largest: int) -> list[Group]:
    """For each of CONTROLLED its best 1, 2, ... heads."""
    orders = {name: ranked_heads(labels, name) for name in CONTROLLED}
    return [
        Group("top_k", name, tuple(sorted(order[:k])), k=k)
        for name, order in orders.items()
        for k in range(1, min(largest, len(order)) + 1)
    ]


def count_matched_groups(group: Group, heads: int) -> int:
    """Number of other groups with as many heads in each layer, of `heads` per layer."""
    return prod(comb(heads, count) for count in Counter(layer for layer, _ in group.heads).values()) - 1


def layer_matched_groups(group: Group, heads: int, replicates: int, seed: int) -> list[Group]:
    """Layer-matched random groups: as many heads in each layer, without repetition; all where fewer exist."""
    counts = Counter(layer for layer, _ in group.heads)
    if count_matched_groups(group, heads) <= replicates:
        layers = [combinations(_layer(layer, heads), count) for layer, count in counts.items()]
        members = {tuple(sorted(head for part in parts for head in part)) for parts in product(*layers)}
    else:
        rng, members = np.random.default_rng([seed, 8, *map(ord, group.group)]), {group.heads}
        while len(members) <= replicates:
            parts = [random_heads(_layer(layer, heads), count, rng) for layer, count in counts.items()]
            members.add(tuple(sorted(head for part in parts for head in part)))
    matched = sorted(members - {group.heads})
    return [Group("layer_matched", group.group, chosen, replicate) for replicate, chosen in enumerate(matched)]


def removal_orders(importance: pd.DataFrame, shares: Iterable[float]) -> list[Group]:
    """Removal by importance: the least or the most important heads first, up to each share of all heads.

    Args:
        importance: layer, head, gradient_importance; from dev.
    """
    rising = importance.sort_values("gradient_importance", kind="stable")
    order = [Head(int(layer), int(head)) for layer, head in zip(rising["layer"], rising["head"], strict=True)]
    return [
        Group("removal", name, tuple(sorted(heads[: max(1, round(share * len(heads)))])))
        for name, heads in (("least_important_first", order), ("most_important_first", order[::-1]))
        for share in shares
    ]


def kept_heads(layers: int, heads: int) -> list[Group]:
    """Kept-head groups: all other heads of its layer masked, by layer, then head (Michel et al. 2019, section 3.3)."""
    return [
        Group("kept_head", kept.short, tuple(other for other in _layer(kept.layer, heads) if other != kept))
        for kept in every_head(layers, heads)
    ]


def lower_except_groups(groups: Iterable[Group], layers: int, heads: int) -> list[Group]:
    """The lower half without each functional group's members: what is left when only they stay; none of one layer."""
    spared = [(group, tuple(head for head in lower_half(layers, heads) if head not in group.heads)) for group in groups]
    return [Group("lower_except", group.group, rest) for group, rest in spared] if layers > 1 else []


def user_groups(named: dict[str, list[list[int]]], layers: int, heads: int) -> list[Group]:
    """Groups named by the user.

    Raises:
        InputError: a blank name or one of FUNCTIONS, a group without heads, a head twice, or one that the model does
            not have.
    """
    for name, members in named.items():
        key = f"params.yaml: group_ablation.groups.{name}"
        if not name.strip() or name in GROUP_FUNCTIONS:
            taken = ", ".join(GROUP_FUNCTIONS)
            raise InputError(f"{key}: the name {name!r} is blank or one of {taken}; choose another")
        if not members:
            raise InputError(f"{key} is empty; list [layer, head] pairs")
        for layer, head in members:
            if layer >= layers or head >= heads:
                shape = f"layers are 0 to {layers - 1}, heads 0 to {heads - 1}"
                raise InputError(f"{key}: [{layer}, {head}] is no head of this model; {shape}")
        if len({tuple(member) for member in members}) < len(members):
            raise InputError(f"{key}: {members} names a head twice; name each once")
    return [
        Group("user", name, tuple(sorted(Head(layer, head) for layer, head in members)))
        for name, members in named.items()
    ]
