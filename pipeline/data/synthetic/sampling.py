"""Draws the queries of a split, and for each query its titles."""

from collections import Counter
from dataclasses import dataclass, field
from itertools import cycle
from random import Random

from pipeline.core.errors import InputError
from pipeline.data.synthetic.cases import CASES, Case
from pipeline.data.synthetic.things import Combination, draw_thing
from pipeline.data.synthetic.vocabulary import Domain, Language
from pipeline.data.synthetic.wording import Query, shared_part, title_forms, write_query, write_title

TITLES = (5, 7)  # titles of a query, at least and at most; the last query takes what is left
TITLE_TRIES = 12
QUERY_TRIES = 500
REPEATS = 2  # of one case within a query

Row = tuple[str, str, int, str, str]  # query, title, grade, domain, phenomenon


@dataclass
class Taken:
    """What later splits and queries may not use again."""

    combinations: set[Combination] = field(default_factory=set)
    texts: set[str] = field(default_factory=set)


def draw_split(language: Language, pairs: int, taken: Taken, rng: Random) -> list[Row]:
    """Draw exactly `pairs` rows of whole queries and add their combinations of terms to `taken`.

    Neither a query nor a title of the split uses a combination that an earlier split has taken.

    Raises:
        InputError: the vocabulary has no unused combinations left.
    """
    earlier = frozenset(taken.combinations)
    counts: Counter[Case] = Counter()
    rows: list[Row] = []
    domains = cycle(language.domains)
    while len(rows) < pairs:
        query = _draw_query(language, next(domains), len(rows), taken, rng)
        rows += _draw_titles(language, query, _title_count(pairs - len(rows), rng), earlier, counts, rng)
    return rows


def _title_count(left: int, rng: Random) -> int:
    count = rng.randint(*TITLES)
    return left if left <= count + 1 else count  # no query is left with a single title


def _draw_query(language: Language, domain: Domain, drawn: int, taken: Taken, rng: Random) -> Query:
    for _ in range(QUERY_TRIES):
        query = write_query(language, draw_thing(language, domain, rng), rng)
        if query.thing.combination not in taken.combinations and query.text not in taken.texts:
            taken.combinations.add(query.thing.combination)
            taken.texts.add(query.text)
            return query
    raise InputError(
        f"data.generated: after {drawn} pairs of a split the vocabulary has no unused combination of terms left; "
        "lower train_pairs, dev_pairs or test_pairs"
    )


def _draw_titles(
    language: Language, query: Query, wanted: int, earlier: frozenset[Combination], counts: Counter[Case], rng: Random
) -> list[Row]:
    """The titles of one query, each of the case that is furthest behind its share among those the query allows."""
    titles: dict[str, Case] = {}
    left = list(CASES) * REPEATS
    while left and len(titles) < wanted:
        case = max(left, key=lambda case: _need(case, counts, rng))
        left.remove(case)
        title = _draw_title(language, query, case, earlier, rng)
        if title is not None and title not in titles:
            titles[title] = case
            counts[case] += 1
    return [(query.text, title, case.grade, query.thing.domain.name, case.phenomenon) for title, case in titles.items()]


def _need(case: Case, counts: Counter[Case], rng: Random) -> float:
    total = counts.total() + len(CASES)
    return case.weight * total * rng.uniform(0.9, 1.1) - counts[case]


def _draw_title(
    language: Language, query: Query, case: Case, earlier: frozenset[Combination], rng: Random
) -> str | None:
    low, high = case.overlap
    for _ in range(TITLE_TRIES):
        draft = case.draft(query, language, rng)
        if draft is None:
            return None
        thing = draft.thing
        if thing.combination in earlier:
            continue
        title = write_title(language, thing, title_forms(thing, query, draft.reworded, draft.named, rng), rng)
        if low <= shared_part(query.text, title) <= high:
            return title
    return None
