"""Results of all stages as the report's input."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from pipeline.analysis.ablation_effects import HARMFUL, NEEDED
from pipeline.core import paths
from pipeline.core.config import Params
from pipeline.core.heads import Head
from pipeline.core.run_names import MODEL_METRICS, PEER_METRICS
from pipeline.data.scripts import segmentation_notice
from pipeline.findings import select
from pipeline.findings.verdict import VERDICTS, Finding
from pipeline.findings.wording import Wording
from pipeline.stats.bootstrap import FEW_QUERIES
from pipeline.stats.measure_sets import MeasureSet
from pipeline.stats.measures import Measure


@dataclass(frozen=True)
class ExamplePair:
    """A pair with its attention maps before (if at hand) and after fine-tuning, [layer, head, query, key]."""

    query: str
    title: str
    grade: float  # index of the grade, or the number that it is
    tokens: list[str]  # one string a position
    segment: list[int]  # of each token: 0 in the query, 1 in the title, -1 where special
    before: np.ndarray | None
    after: np.ndarray


@dataclass(frozen=True)
class PruningResults:
    """What can go.

    Attributes:
        ladder, controls, decision: `tables.pruning.LADDER`, `PRUNING_CONTROLS` and `DECISION`.
        metrics: of the stage.
        measure, margin: that may hardly suffer, and by how much.
        seeds: searches. epochs: that each size was trained again.
        study: of `make pruning-study` where that is of the same data and model.
    """

    ladder: pd.DataFrame
    controls: pd.DataFrame
    decision: pd.DataFrame
    metrics: Mapping[str, Any]
    measure: Measure
    margin: float
    seeds: int = 1
    epochs: int = 0
    study: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Results:
    """Tables, metrics and example pairs that the report is made from."""

    setting: list[tuple[str, str]]  # the run's settings, as (name, value) in the order shown
    grades: list[str]  # labels from worst to best; none where grades are numbers
    pairs: int  # number of test pairs on which groups of heads are masked
    tables: select.Tables  # the tables that findings are judged on
    unlabelled_heads: pd.DataFrame  # one row a head masked on pairs without grades, empty where there are none
    head_embedding: pd.DataFrame  # one row per head, with its coordinates (head_embedding.csv)
    pruning: PruningResults
    edges: pd.DataFrame  # one row a masked head and later head (edges.csv)
    example_cls_attention: Sequence[Mapping[str, Any]]  # of one relay head, one record a pair
    profiles: pd.DataFrame  # one row a layer, head, function and phase (profiles.csv)
    curve: pd.DataFrame  # one row an epoch (curve.csv), empty where nothing was fine-tuned
    prepare: Mapping[str, Any]  # this and the next four: the stages' metrics.json
    finetune: Mapping[str, Any]
    bilstm: Mapping[str, Any]
    attention: Mapping[str, Any]
    head_ablation: Mapping[str, Any]
    example_pairs: list[ExamplePair] = field(default_factory=list)
    unsegmented: Sequence[str] = ()  # languages of the test pairs whose words are not found reliably
    example_heads: int = 0  # how many heads are drawn for each example pair

    @property
    def heads(self) -> pd.DataFrame:
        """Effects of single heads masked (heads.csv)."""
        return self.tables.heads

    @property
    def needed(self) -> frozenset[Head]:
        """Needed heads."""
        return frozenset(map(Head.of_row, select.records(self.heads[self.heads["verdict"] == NEEDED])))

    @property
    def identity(self) -> str:
        """What tells this run's report from another's: its data and model, and a digest of the heads' effects."""
        setting = dict(self.setting)
        return f"{setting['Data']}; {setting['Model']}; results {self.digest}"

    @property
    def digest(self) -> str:
        """Eight hexadecimal digits that differ where any effect of a head or group does."""
        written = "".join(frame.to_csv(index=False, lineterminator="\n") for frame in (self.heads, self.groups))
        return hashlib.sha256(written.encode("utf-8")).hexdigest()[:8]

    @property
    def groups(self) -> pd.DataFrame:
        """Effects of groups of heads masked (groups.csv), without groups of no head."""
        groups = self.tables.groups
        return groups[(groups["heads_masked"] > 0) | (groups["group_type"] == "unmasked")]

    @property
    def slices(self) -> pd.DataFrame:
        """Effects of groups on slices of the pairs (slices.csv)."""
        return self.tables.slices

    @property
    def measures(self) -> MeasureSet:
        return self.tables.measures

    @property
    def headline(self) -> Measure:
        """The measure by which the article's findings are judged."""
        return self.tables.headline

    @property
    def words(self) -> Wording:
        return self.tables.words

    @property
    def primary(self) -> Measure:
        """The measure that decides verdicts on heads."""
        return self.tables.primary

    @property
    def shape(self) -> tuple[int, int]:
        """Layers, and heads per layer."""
        return int(self.heads["layer"].max()) + 1, int(self.heads["head"].max()) + 1

    @property
    def head_pairs(self) -> int:
        """Number of test pairs on which single heads are masked."""
        return int(self.head_ablation["pairs"])

    @property
    def beats_constant(self) -> bool:
        """Whether the unmasked model is surely better than the constant one: without that there is nothing to lose."""
        return select.beats_constant(self.tables.group_scales, self.measures.collapse_by)

    def collapsed(self, rows: pd.DataFrame) -> pd.Series:
        """Which masked models, rows of groups.csv, have collapsed: none where the unmasked one has nothing to lose."""
        return select.collapsed(rows, self.measures.collapse_by) & self.beats_constant

    @property
    def collapsed_from(self) -> str:
        """How far a model is that has collapsed."""
        words = self.words
        return f"{select.COLLAPSED:.0%} or more of the way to the {words.constant}, which {words.knows}"

    @property
    def nothing_to_lose(self) -> str:
        """A sentence on why no masked model is said to have collapsed, "" where some may have."""
        if self.beats_constant:
            return ""
        return (
            f"No group is said to have collapsed: unmasked, the model is not shown to be better than the "
            f"{self.words.constant}, so it has nothing to lose"
        )

    @property
    def warnings(self) -> list[str]:
        """Sentences on why the results may say little: of the unmasked model, the data and the training."""
        sentences = []
        if not self.beats_constant:
            sentences.append(
                f"Unmasked, the model is not shown to {self.words.beats}: nothing here tells which heads help it, only "
                "what they do to its predictions."
            )
        queries = int(self.head_ablation["queries"])
        if queries < FEW_QUERIES:
            sentences.append(
                f"The effects come from {queries} queries only; with fewer than {FEW_QUERIES}, their intervals are too "
                "narrow."
            )
        notice = segmentation_notice(self.unsegmented)
        return [*sentences, *self._unconverged(), *([notice] if notice else [])]

    def _unconverged(self) -> list[str]:
        """A sentence for each model whose dev scores were still improving when its training ended."""
        models = {f"The fine-tuned {self.words.model}": self.finetune, "The BiLSTM": self.bilstm}
        return [
            f"{name} is not trained to convergence: its best epoch, {metrics['best_epoch']}, is the last one allowed. "
            "Raise training.max_epochs."
            for name, metrics in models.items()
            if metrics.get("converged") == 0
        ]

    @property
    def unit(self) -> str:
        """Unit and pairs of a group's change of the headline measure, as captions say them."""
        return self._unit(self.tables.group_scales, self.pairs)

    @property
    def head_unit(self) -> str:
        """Unit and pairs of a single head's change of it."""
        return self._unit(self.tables.head_scales, self.head_pairs)

    def _unit(self, scales: pd.DataFrame, pairs: int) -> str:
        unmasked = select.scale(scales, self.headline)["unmasked"]
        return f"in percent of the unmasked {self.headline.label} ({unmasked:.3f}), on {pairs} pairs of the test split"

    @property
    def constant_change(self) -> float:
        """Relative change of the headline measure from the unmasked to the constant model, on the groups' pairs."""
        return float(select.scale(self.tables.group_scales, self.headline)["way"])

    def grade_text(self, grade: float) -> str:
        """A gold grade as the user wrote it, or as the number that it is."""
        return self.grades[int(grade)] if self.grades else f"{grade:g}"

    @property
    def peers(self) -> dict[str, float | None]:
        """The headline measure of what the model is compared with, by PEER_METRICS; None where there is none."""
        own = MODEL_METRICS[self.measures.kind][0]
        values = (self.bilstm[own], self.finetune.get(own.replace("test", "test_bm25")))
        return dict(zip(PEER_METRICS[self.measures.kind], values, strict=False))

    def texts(self) -> Iterator[str]:
        """Texts of the user's data and params that the report shows."""
        yield from self.grades
        yield from (value for _, value in self.setting)
        yield from self.groups["group"].astype(str)
        for frame in (self.slices, self.tables.head_slices):
            yield from {text for name in ("slice", "value") for text in frame[name].astype(str)}
        for pair in self.example_pairs:
            yield from (pair.query, pair.title, *pair.tokens)
        for example in self.example_cls_attention:
            yield from (example["query"], example["title"], *example["tokens"])


def run_setting(params: Params) -> list[tuple[str, str]]:
    """Run settings: data, grades, model and training, for `Results.setting`."""
    source, training = params.data.source, params.training
    score = "nDCG@10" if params.is_ranker else "kappa"
    rule = f"until {training.patience} epochs bring no better dev {score}, {training.max_epochs} epochs at most"
    objective = [("Objective", f"{params.finetune.objective}: one score a pair")] if params.is_ranker else []
    return [
        ("Data", f"generated, language {params.data.generated.language}" if source == "generated" else source),
        ("Grades", ", ".join(params.data.grade_names) or "numbers, 0 is the worst"),
        ("Model", params.model.name),
        ("Fine-tuning", "none: the checkpoint is already fine-tuned" if params.model.fine_tuned else rule),
        *objective,
        ("Training of the BiLSTM", rule),
        ("Seed", str(params.run.seed)),
    ]


def headline(results: Results, findings: Sequence[Finding]) -> dict[str, Any]:
    """A run in a dozen values: what `dvc metrics show`, `dvc exp show` and the end of `dvc repro` show."""
    heads, verdicts = results.heads, Counter(finding.verdict for finding in findings)
    return {
        **{name: results.finetune[name] for name in MODEL_METRICS[results.measures.kind]},
        **results.peers,
        "heads": len(heads),
        "needed_heads": int((heads["verdict"] == NEEDED).sum()),
        "harmful_heads": int((heads["verdict"] == HARMFUL).sum()),
        "inert_heads": int(heads["is_inert"].sum()),
        **{verdict.replace(" ", "_"): verdicts[verdict] for verdict in VERDICTS},
        "report": str(paths.REPORT),
    }
