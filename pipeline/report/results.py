"""Everything the report shows, as plain values: what the stages before it wrote."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from pipeline.findings import select
from pipeline.stats.bootstrap import FEW_QUERIES


@dataclass(frozen=True)
class ExamplePair:
    """A pair whose attention maps are drawn.

    Attributes:
        query: its text.
        title: its text.
        grade: index of its grade.
        tokens: one string a position.
        before: attention before fine-tuning, [layer, head, query, key].
        after: the same after it.
    """

    query: str
    title: str
    grade: int
    tokens: list[str]
    before: np.ndarray
    after: np.ndarray


@dataclass(frozen=True)
class Results:
    """
    Attributes:
        setting: what was run, as (name, value) in the order shown.
        grades: labels from worst to best.
        tables: what the findings are judged on.
        alone: one row a head kept as its layer's only one (alone.csv).
        slices: one row a group and part of the test split (slices.csv).
        places: one row a head, where it lies among the others (places.csv).
        edges: one row a masked head and later head (edges.csv).
        shown: what one reader's [CLS] attends to on a few pairs (shown.json).
        profiles: one row a layer, head, function and phase (profiles.csv).
        curve: one row an epoch (curve.csv), empty where nothing was fine-tuned.
        prepare, finetune, attention, head_ablation: the stages' metrics.json.
        showcase: pairs with their maps.
        showcase_heads: how many heads are drawn for each.
    """

    setting: list[tuple[str, str]]
    grades: list[str]
    tables: select.Tables
    alone: pd.DataFrame
    slices: pd.DataFrame
    places: pd.DataFrame
    edges: pd.DataFrame
    shown: Sequence[Mapping[str, Any]]
    profiles: pd.DataFrame
    curve: pd.DataFrame
    prepare: Mapping[str, Any]
    finetune: Mapping[str, Any]
    attention: Mapping[str, Any]
    head_ablation: Mapping[str, Any]
    showcase: list[ExamplePair] = field(default_factory=list)
    showcase_heads: int = 0

    @property
    def heads(self) -> pd.DataFrame:
        """One row a head masked alone (heads.csv)."""
        return self.tables.heads

    @property
    def groups(self) -> pd.DataFrame:
        """One row a group masked together (groups.csv)."""
        return self.tables.groups

    @property
    def shape(self) -> tuple[int, int]:
        """Layers, heads a layer."""
        return int(self.heads["layer"].max()) + 1, int(self.heads["head"].max()) + 1

    @property
    def pairs(self) -> int:
        """Test pairs that every head and group was masked on."""
        return select.pair_count(self.groups)

    @property
    def accuracy(self) -> float:
        """Accuracy of the unmasked model on those pairs."""
        return float(select.select_rows(self.groups, "baseline")["accuracy"].iloc[0])

    @property
    def few_queries(self) -> int | None:
        """How many queries the effects come from, where they are too few for good intervals."""
        queries = int(self.head_ablation["heads_queries"])
        return queries if queries < FEW_QUERIES else None

    @property
    def unit(self) -> str:
        """What the masking figures measure, on what."""
        return f"in percent of the unmasked accuracy ({self.accuracy:.3f}), on {self.pairs} pairs of the test split"

    def texts(self) -> Iterator[str]:
        """Every text of the user's own that the report shows."""
        yield from self.grades
        yield from (value for _, value in self.setting)
        yield from self.groups["group"].astype(str)
        for pair in self.showcase:
            yield from (pair.query, pair.title, *pair.tokens)
        for one in self.shown:
            yield from (one["query"], one["title"], *one["tokens"])
