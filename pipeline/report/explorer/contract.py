"""Contract of what the page is given, of one run (explorer.json) or of two, as typed values.

The page's types are made from its JSON schema.

Heads are numbered by layer, then head: `layer * heads + head`; layers, heads and grades count from 0. Values are those
of the result tables, undefined ones null. Arrays of many small numbers are base64 of gzip of their bytes, in C order,
little-endian.

    python -m pipeline.report.explorer.contract

writes app/explorer.schema.json.
"""

import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

SCHEMA = Path(__file__).parent / "app" / "explorer.schema.json"
VERSION: Literal[1] = 1

Number = float | None
Estimate = Annotated[list[Number], Field(min_length=3, max_length=3)]  # value, lower and upper end of its 95% interval
HeadNumber = Annotated[int, Field(ge=0)]
Packed = str  # base64 of gzip of an array's bytes


class Contract(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Run(Contract):
    """The run: its settings as (name, value), model and sizes."""

    setting: list[Annotated[list[str], Field(min_length=2, max_length=2)]]
    kind: Literal["grader", "ranker"]
    layers: Annotated[int, Field(ge=1)]
    heads: Annotated[int, Field(ge=1)]
    grades: list[str]  # from worst to best; none where they are numbers
    has_before: bool  # whether there is a model before fine-tuning
    headline: str  # measure that the findings are judged by
    primary: str  # measure that decides verdicts on heads
    pairs: int  # test pairs on which single heads are masked
    group_pairs: int  # test pairs on which groups are masked
    warnings: list[str] = []  # sentences on why the results may say little
    collapse: str  # what it is to have collapsed
    beats_constant: bool = True  # whether it surely is better, unmasked, than the constant model


class Measure(Contract):
    """A measure; its changes are relative ones where `is_relative`, else differences in its unit."""

    name: str
    label: str
    unit: str
    better: Literal["higher", "lower"]
    is_relative: bool
    is_distance: bool  # from the unmasked predictions: it needs no grades
    unmasked: Number
    margin: Number  # size of a change that matters
    group_unmasked: Number  # unmasked, on the pairs on which groups are masked
    group_constant: Number  # of the constant model, on those
    queries: int | None  # that it is the mean over, of single heads' pairs; None where it is of pairs


class Effect(Contract):
    """Effect of masking by a measure; `to_constant`: share of the way to the constant model, above 0 is worse."""

    change: Estimate
    to_constant: Number
    q: Number


class Score(Contract):
    """A head's score on a function beside its control, and what fine-tuning changed."""

    score: Number
    control: Number
    difference: Estimate
    before: Number
    change: Estimate
    change_q: Number
    is_labelled: bool


class Slice(Contract):
    """A part of the test pairs."""

    column: str
    value: str
    pairs: int
    queries: int


class Edge(Contract):
    """How far masking the source moves [CLS]'s attention in the target, a head of a later layer."""

    source: HeadNumber
    target: HeadNumber
    js: Estimate  # mean Jensen-Shannon distance


class AlikeHead(Contract):
    """Another head, and the mean Jensen-Shannon distance of the two's attention rows."""

    head: HeadNumber
    distance: float


class Decision(Contract):
    """What pruning decides about a head."""

    decision: Literal["remove", "keep", "protected", "uncertain"]
    reason: str
    frequency: Number  # share of the searches in which it goes


class Head(Contract):
    """A head: what masking it alone does, and what it attends to."""

    layer: int
    head: int
    sentence: str
    verdict: Literal["needed", "harmful", "small", "no effect", "undecided"]
    is_inert: bool
    worse: int  # pairs graded right unmasked and wrong masked; of a ranker, queries that lose nDCG@10
    better: int
    effects: list[Effect]  # in the order of `measures`
    unlabelled: list[Effect]  # of the measures that need no grades, on pairs without; none where there are none
    mean_to_constant: Number  # primary measure, its output replaced by its mean
    resample_to_constant: Number  # by its output on another pair
    gradient_importance: Number
    function: str | None  # first function that it is labelled with
    scores: list[Score]  # in the order of `functions`
    slices: list[Estimate]  # changes of the primary measure, in the order of `slices`; simultaneous intervals
    sure_slices: list[int]  # positions of those whose interval leaves out 0
    alike: list[AlikeHead]
    decision: Decision | None


class RandomGroups(Contract):
    """Random groups of as many heads in each layer: the headline measure's change, and how often as bad."""

    count: int
    median: Number
    lowest: Number
    highest: Number
    p: Number


class GroupEffect(Contract):
    """Effect of masking a group by a measure: the measure's value, its own change of a distance."""

    masked: Number
    change: Estimate


class Group(Contract):
    """A measured group of heads."""

    type: str
    name: str
    heads: list[HeadNumber]
    effects: list[GroupEffect]  # in the order of `measures`
    has_collapsed: bool
    slices: list[Estimate]  # changes of the headline measure, in the order of `group_slices`; none of most groups
    random: RandomGroups | None


class Pairs(Contract):
    """Test pairs on which single heads are masked."""

    rows: list[int]  # in data/prepared/test.parquet
    queries: list[str]  # each text once
    query: list[int]  # position of each pair's query in `queries`
    titles: list[str]
    gold: list[float]
    slices: dict[str, list[str]]  # column -> value of each pair, "" where it has none


class Predictions(Contract):
    """Predicted grade of every pair, or its rank by score in its query from 1 (255: that or more).

    `heads`: uint8 [1 + head, pair], unmasked first, then with each head masked. `groups`: uint8 [1 + group, group
    pair], `group_pairs` the positions of those in `pairs`. `query_changes`, `group_query_changes`, of a ranker: int8
    [head, query] and [group, query], by how many hundredths nDCG@10 changes, rounded away from 0.
    """

    heads: Packed
    groups: Packed
    group_pairs: list[int]
    query_changes: Packed | None
    group_query_changes: Packed | None


class LogitChanges(Contract):
    """What masking each head adds to the logits of the group pairs, for estimates of groups that are not measured.

    `unmasked`: float32 [group pair, output]. `changes`: int8 [head, group pair, output] in steps of the head's
    `steps`.
    """

    outputs: int
    unmasked: Packed
    changes: Packed
    steps: list[float]


class AttentionMap(Contract):
    """Attention of every head on a pair: levels 0 to 15, two in a byte, the first one high, attention (level / 15)².

    `before`, `after`: [layer, head, query token, key token]. `segment`: 0 in the query, 1 in the title, -1 special.
    """

    pair: int
    tokens: list[str]
    segment: list[int]
    length: int  # tokens of the pair, which may be more than are mapped
    before: Packed | None
    after: Packed


class ClsAttention(Contract):
    """What [CLS] attends to in a relay head, with and without the term-match heads."""

    query: str
    title: str
    grade: float
    head: HeadNumber
    tokens: list[str]
    kinds: list[str]
    unmasked: list[float]
    masked: list[float]


class Explorer(Contract):
    """All that the explorer shows."""

    version: Literal[1]
    run: Run
    measures: list[Measure]
    words: dict[str, str]  # badge of a head -> what it means
    functions: list[str]
    slices: list[Slice]
    group_slices: list[Slice]
    heads: list[Head]
    edges: list[Edge]
    groups: list[Group]
    pairs: Pairs
    pruning: str  # what can go, in a sentence or two
    predictions: Predictions
    logit_changes: LogitChanges
    maps: list[AttentionMap]
    maps_left_out: int  # chosen pairs whose maps did not fit
    mib: float  # that the page may take
    cls_attention: list[ClsAttention]


HeadAspect = Literal["verdict", "labels", "decision"]


class HeadChange(Contract):
    """A head's verdict, labels or pruning decision, where it is another one in the second run."""

    head: HeadNumber
    what: HeadAspect
    first: str
    second: str


class CommonPairs(Contract):
    """Test pairs of both runs, and what each run's whole model predicts of them; all lists are of the same pairs.

    Predictions are grades, or ranks from 1 among the titles of the query that both runs have.
    """

    first: list[int]  # positions in the first run's pairs
    second: list[int]  # positions in the second run's
    before: list[int]  # predictions of the first run
    after: list[int]  # predictions of the second run
    query_changes: list[int] | None  # of rankers: by how many hundredths nDCG@10 of the pair's query changes


class Comparison(Contract):
    """Two runs, and what differs between them."""

    names: Annotated[list[str], Field(min_length=2, max_length=2)]
    first: Explorer
    second: Explorer
    limits: list[str]  # what cannot be compared, or not all of it, a sentence each
    measures: list[str]  # whose effects of heads can be subtracted
    heads: list[HeadChange] | None  # None where the models differ in layers or heads
    pairs: CommonPairs | None  # None where there are none, or what is predicted of them differs in kind


PageData = Explorer | Comparison


def schema() -> str:
    """JSON schema of the contract, as kept in SCHEMA."""
    made = TypeAdapter(PageData).json_schema() | {"title": "PageData"}
    for definition in made["$defs"].values():
        for value in definition["properties"].values():
            value.pop("title", None)  # else every field becomes a type of its own in the page's language
    return json.dumps(made, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    SCHEMA.write_text(schema(), encoding="utf-8")
