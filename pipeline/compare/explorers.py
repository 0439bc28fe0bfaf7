"""The explorers of two runs -> one page with what differs between them: heads, and predictions of common test pairs."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from pydantic import ValidationError

from pipeline.compare.run_results import ANOTHER_VERSION, RunResults
from pipeline.core import paths
from pipeline.core.counts import counted
from pipeline.core.errors import InputError
from pipeline.report.explorer import page, predictions
from pipeline.report.explorer.contract import (
    CommonPairs,
    Comparison,
    Explorer,
    Head,
    HeadAspect,
    HeadChange,
    Measure,
    Pairs,
)
from pipeline.report.explorer.packing import unpack

KEY = ["query", "title", "occurrence"]  # what two runs' pairs are joined by
NONE = "none"


def explorer_page(first: RunResults, second: RunResults) -> str:
    """Page of the explorers of two runs. Raises InputError: a run's explorer.json is missing or cannot be read."""
    found, missing = [], []
    for run in (first, second):
        try:
            found.append(read_explorer(run))
        except InputError as error:
            missing.append(str(error))
    if missing:
        raise InputError("; ".join(missing))
    return page.render_page(join_explorers(first.name, second.name, *found))


def read_explorer(run: RunResults) -> Explorer:
    """The explorer of a run. Raises InputError: its explorer.json is missing or cannot be read."""
    content = run.read_report(paths.EXPLORER_DATA)
    if content is None:
        raise InputError(f"{run.name} has no {paths.EXPLORER_DATA}; run its stage report with this version")
    try:
        return Explorer.model_validate_json(content)
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"])) or "its text"
        raise InputError(
            f"{paths.EXPLORER_DATA} of {run.name} {ANOTHER_VERSION} (see {where}); run its stage report with this one"
        ) from None


def join_explorers(first_name: str, second_name: str, first: Explorer, second: Explorer) -> Comparison:
    """Join the explorers of two runs."""
    same_heads = _shape(first) == _shape(second)
    pairs = _common_pairs(first, second) if _predict_alike(first, second) else None
    return Comparison(
        names=[first_name, second_name],
        first=first,
        second=second,
        limits=[sentence for limit in LIMITS if (sentence := limit(first, second))],
        measures=[measure.name for measure in _common_measures(first, second)] if same_heads else [],
        heads=_head_changes(first, second) if same_heads else None,
        pairs=pairs,
    )


def _shape(explorer: Explorer) -> str:
    run = explorer.run
    return f"{counted(run.layers, 'layer')} of {run.heads} heads"


def _predict_alike(first: Explorer, second: Explorer) -> bool:
    """Whether both predict grades of the same names, or both ranks."""
    return first.run.kind == second.run.kind and (first.run.kind == "ranker" or first.run.grades == second.run.grades)


def _common_measures(first: Explorer, second: Explorer) -> list[Measure]:
    """Measures of both runs that are in the same unit."""
    scales = {(measure.name, measure.unit, measure.is_relative) for measure in second.measures}
    return [measure for measure in first.measures if (measure.name, measure.unit, measure.is_relative) in scales]


def _head_changes(first: Explorer, second: Explorer) -> list[HeadChange]:
    """What differs about each head, by head; pruning decisions where both runs have some."""
    aspects: dict[HeadAspect, Callable[[Head, Explorer], str]]
    aspects = {"verdict": lambda head, _: head.verdict, "labels": _labels}
    if _decides(first) and _decides(second):
        aspects["decision"] = lambda head, _: head.decision.decision if head.decision else NONE
    return [
        HeadChange(head=number, what=what, first=before, second=after)
        for number, (one, other) in enumerate(zip(first.heads, second.heads, strict=True))
        for what, value in aspects.items()
        if (before := value(one, first)) != (after := value(other, second))
    ]


def _labels(head: Head, explorer: Explorer) -> str:
    labels = [name for name, score in zip(explorer.functions, head.scores, strict=True) if score.is_labelled]
    return ", ".join(labels) or NONE


def _decides(explorer: Explorer) -> bool:
    return any(head.decision for head in explorer.heads)


def _common_pairs(first: Explorer, second: Explorer) -> CommonPairs | None:
    """Pairs of both runs and what is predicted of them; None where there are none."""
    common = _places(first, second)
    if common.empty:
        return None
    places = common["first"].to_numpy(), common["second"].to_numpy()
    before, after = (_unmasked(explorer)[place] for explorer, place in zip((first, second), places, strict=True))
    changes = None
    if first.run.kind == "ranker":
        queries = np.array(first.pairs.query)[places[0]]
        before, after = (predictions.predicted(-ranks[:, None].astype(float), queries) for ranks in (before, after))
        changes = _query_changes(before, after, np.array(first.pairs.gold)[places[0]], queries).tolist()
    return CommonPairs(
        first=places[0].tolist(),
        second=places[1].tolist(),
        before=before.tolist(),
        after=after.tolist(),
        query_changes=changes,
    )


def _places(first: Explorer, second: Explorer) -> pd.DataFrame:
    """Positions of the pairs of both runs, in the first run's order: first, second."""
    one, other = (_keyed(explorer.pairs) for explorer in (first, second))
    return one.rename(columns={"place": "first"}).merge(other.rename(columns={"place": "second"}), on=KEY)


def _keyed(pairs: Pairs) -> pd.DataFrame:
    """Query and title of every pair, its occurrence among equal ones, and its place."""
    texts = pd.DataFrame({"query": [pairs.queries[query] for query in pairs.query], "title": pairs.titles})
    return texts.assign(occurrence=texts.groupby(KEY[:2]).cumcount(), place=np.arange(len(texts)))


def _unmasked(explorer: Explorer) -> np.ndarray:
    """Predictions without a mask, uint8 [pair]."""
    return unpack(explorer.predictions.heads, np.uint8)[: explorer.run.pairs]


def _query_changes(before: np.ndarray, after: np.ndarray, gold: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """Change of nDCG@10 of each pair's query from one order to the other, see `query_changes`, int8 [pair].

    Args:
        before, after: ranks, [pair]. gold, queries: of the pairs.
    """
    unmasked, masked = (-ranks[:, None].astype(np.float32) for ranks in (before, after))
    orders = {"unmasked_logits": unmasked, "masked_logits": masked[None]}
    changes = predictions.query_changes(orders, np.array([0]), gold, queries)[0]
    return predictions.hundredths(changes)[np.unique(queries, return_inverse=True)[1]]


def _kinds(first: Explorer, second: Explorer) -> str:
    if first.run.kind == second.run.kind:
        return ""
    return (
        f"The first run's model is a {first.run.kind}, the second's a {second.run.kind}: "
        "what they predict of pairs is not compared."
    )


def _grades(first: Explorer, second: Explorer) -> str:
    if first.run.kind != second.run.kind or _predict_alike(first, second):
        return ""
    names = [", ".join(explorer.run.grades) or "numbers" for explorer in (first, second)]
    return f"Grades are {names[0]} in the first run and {names[1]} in the second: predicted ones are not compared."


def _shapes(first: Explorer, second: Explorer) -> str:
    if _shape(first) == _shape(second):
        return ""
    return f"The first run's model has {_shape(first)}, the second's {_shape(second)}: heads are not compared."


def _measures(first: Explorer, second: Explorer) -> str:
    common = {measure.name for measure in _common_measures(first, second)}
    every = {measure.name: measure.label for measure in (*first.measures, *second.measures)}
    alone = [label for name, label in every.items() if name not in common]
    if not alone or _shape(first) != _shape(second):
        return ""
    return f"Effects of heads are not compared by {', '.join(alone)}, which one run alone has."


def _verdicts(first: Explorer, second: Explorer) -> str:
    if first.run.primary == second.run.primary or _shape(first) != _shape(second):
        return ""
    by = [
        next(measure.label for measure in explorer.measures if measure.name == explorer.run.primary)
        for explorer in (first, second)
    ]
    return f"Verdicts on heads are by {by[0]} in the first run and by {by[1]} in the second."


def _decisions(first: Explorer, second: Explorer) -> str:
    without = [which for which, explorer in (("first", first), ("second", second)) if not _decides(explorer)]
    return f"The {without[0]} run decides on no head: pruning is not compared." if len(without) == 1 else ""


def _other_pairs(first: Explorer, second: Explorer) -> str:
    common = len(_places(first, second))
    if common == first.run.pairs == second.run.pairs:
        return ""
    return (
        f"{common or 'None'} of the first run's {first.run.pairs} test pairs and the second's {second.run.pairs} are "
        "the same by query and title; effects of heads are on each run's own pairs."
    )


def _other_gold(first: Explorer, second: Explorer) -> str:
    if first.run.grades != second.run.grades:
        return ""
    common = _places(first, second)
    gold = [np.array(explorer.pairs.gold)[common[which]] for which, explorer in (("first", first), ("second", second))]
    differing = int((gold[0] != gold[1]).sum())
    if not differing:
        return ""
    return f"The gold grade of {differing} of {len(common)} common pairs is another one in the second run."


Limit = Callable[[Explorer, Explorer], str]  # what cannot be compared, "" where all can be
LIMITS: tuple[Limit, ...] = (_kinds, _grades, _shapes, _measures, _verdicts, _decisions, _other_pairs, _other_gold)
