"""Draws the queries of a split, and for each query its titles."""

from collections import Counter
from dataclasses import dataclass, field
from itertools import cycle
from math import ceil
from random import Random

from pipeline.core.errors import InputError
from pipeline.data.synthetic.cases import CASES, Case
from pipeline.data.synthetic.things import Combination, draw_thing
from pipeline.data.synthetic.vocabulary import Domain, Language
from pipeline.data.synthetic.wording import Query, shared_part, title_forms, write_query, write_title

TITLE_TRIES = 12
QUERY_TRIES = 500
REPEATS = 1 / 3  # of a query's titles, those of one case at most

Row = tuple[str, str, int, str, str, str]  # query, title, grade, domain, phenomenon, vocabulary


@dataclass
class Taken:
    """What later splits and queries may not use again."""

    combinations: set[Combination] = field(default_factory=set)
    texts: set[str] = field(default_factory=set)


def draw_pairs(language: Language, vocabulary: str, pairs: int, titles: int, taken: Taken, rng: Random) -> list[Row]:
    """Draw exactly `pairs` rows of whole queries and add their combinations of terms to `taken`.

    Neither a query nor a title uses a combination that an earlier call has taken.

    Args:
        vocabulary: "unseen" draws only queries with a form that is held out, "seen" only those without.
        titles: of a query, or one more or less; the last query takes what is left.

    Raises:
        InputError: the vocabulary has no unused combinations left, or a query too few titles.
    """
    earlier = frozenset(taken.combinations)
    counts: Counter[Case] = Counter()
    rows: list[Row] = []
    domains = cycle(language.domains)
    while len(rows) < pairs:
        query = _draw_query(language, next(domains), vocabulary, len(rows), taken, rng)
        rows += _draw_titles(language, query, _title_count(titles, pairs - len(rows), rng), earlier, counts, rng)
    return rows


def _title_count(titles: int, left: int, rng: Random) -> int:
    count = rng.randint(titles - 1, titles + 1)
    return left if left <= count + 1 else count  # no query is left with a single title


def _draw_query(language: Language, domain: Domain, vocabulary: str, drawn: int, taken: Taken, rng: Random) -> Query:
    for _ in range(QUERY_TRIES):
        query = write_query(language, draw_thing(language, domain, rng), rng)
        if query.thing.vocabulary != vocabulary:
            continue
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
    left = list(CASES) * ceil(REPEATS * wanted)
    while left and len(titles) < wanted:
        case = max(left, key=lambda case: _need(case, counts, rng))
        left.remove(case)
        title = _draw_title(language, query, case, earlier, rng)
        if title is not None and title not in titles:
            titles[title] = case
            counts[case] += 1
    if len(titles) < wanted:
        raise InputError(
            f"data.generated.titles_per_query: the query {query.text!r} has only {len(titles)} different titles; "
            f"lower it to {len(titles) - 1} or less"
        )
    thing = query.thing
    return [
        (query.text, title, case.grade, thing.domain.name, case.phenomenon, thing.vocabulary)
        for title, case in titles.items()
    ]


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
