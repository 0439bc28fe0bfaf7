"""What a title does to its query: the changes that decide a grade.

Each draft function takes the query and gives what the title is about and which terms it words otherwise than the query,
or None where the query has no such title.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

from pipeline.data.synthetic.things import Thing, draw_thing, neighbours, share_a_word, strangers
from pipeline.data.synthetic.vocabulary import Category, Language, Term
from pipeline.data.synthetic.wording import Query

BACKGROUND_REWORDING = 0.05  # share of the terms reworded where the wording does not decide
LOOKALIKE_SHARE = 0.15  # of the traps, where there is a core to make one of


@dataclass(frozen=True)
class Draft:
    thing: Thing
    reworded: tuple[Term, ...] = ()  # worded otherwise than in the query
    named: tuple[Term, ...] = ()  # new to the query, and worded by the first form


DraftFunction = Callable[[Query, Language, Random], Draft | None]


def exact(query: Query, language: Language, rng: Random) -> Draft | None:
    """The query's own terms, of which the core is no route, no word in pieces and no term with a double."""
    core, form = _core(query)
    plain = not query.thing.is_route and form not in core.split and not _doubles(query)
    return Draft(query.thing) if plain else None


def whole_term(query: Query, language: Language, rng: Random) -> Draft | None:
    return Draft(query.thing) if _doubles(query) else None


def part_of_a_term(query: Query, language: Language, rng: Random) -> Draft | None:
    doubles = _doubles(query)
    if not doubles:
        return None
    return _renamed(query, rng.choice(doubles), rng)


def split_word(query: Query, language: Language, rng: Random) -> Draft | None:
    core, form = _core(query)
    return Draft(query.thing) if not query.thing.is_route and form in core.split else None


def other_split_word(query: Query, language: Language, rng: Random) -> Draft | None:
    """Another core of the category, both of them words in pieces."""
    core, form = _core(query)
    others = [cores for cores in neighbours(query.thing) if cores[0].name in cores[0].split]
    if query.thing.is_route or form not in core.split or not others:
        return None
    return _renamed(query, rng.choice(others), rng)


def same_direction(query: Query, language: Language, rng: Random) -> Draft | None:
    return Draft(query.thing) if query.thing.is_route else None


def other_direction(query: Query, language: Language, rng: Random) -> Draft | None:
    back = replace(query.thing, cores=query.thing.cores[::-1])
    return Draft(back) if query.thing.is_route else None


def synonym(query: Query, language: Language, rng: Random) -> Draft | None:
    terms = _rewordable(query)
    return Draft(query.thing, tuple(rng.sample(terms, rng.randint(1, len(terms))))) if terms else None


def all_synonyms(query: Query, language: Language, rng: Random) -> Draft | None:
    terms = _rewordable(query)
    return Draft(query.thing, tuple(terms)) if len(terms) == len(query.thing.terms) else None


def missing_modifier(query: Query, language: Language, rng: Random) -> Draft | None:
    _, dropped = rng.choice(query.thing.modifiers)
    return Draft(query.thing.without(dropped), _background(query, rng))


def wrong_modifier(query: Query, language: Language, rng: Random) -> Draft | None:
    kind, asked = rng.choice(query.thing.modifiers)
    given = rng.choice([term for term in kind.terms if term != asked])
    return Draft(query.thing.changed(asked, given), _background(query, rng))


def wrong_intent(query: Query, language: Language, rng: Random) -> Draft | None:
    intents = query.thing.domain.intents
    if query.thing.intent not in intents:
        return None
    given = rng.choice([intent for intent in intents if intent != query.thing.intent])
    return Draft(replace(query.thing, intent=given), _background(query, rng))


def same_category(query: Query, language: Language, rng: Random) -> Draft | None:
    thing = query.thing.moved(query.thing.category, rng.choice(neighbours(query.thing)))
    return Draft(thing, _background(query, rng))


def unrelated(query: Query, language: Language, rng: Random) -> Draft | None:
    """Anything of another domain."""
    others = [domain for domain in language.domains if domain != query.thing.domain]
    return Draft(draw_thing(language, rng.choice(others), rng))


def trap(query: Query, language: Language, rng: Random) -> Draft | None:
    """The query's words as the name of something else, or a core of another category that shares a word."""
    lookalikes = [] if query.thing.is_route else _lookalikes(query)
    if lookalikes and rng.random() < LOOKALIKE_SHARE:
        category, core = rng.choice(lookalikes)
        return Draft(query.thing.moved(category, (core,)), named=(core,))
    labels = language.label_intents(query.thing.domain)
    wanted = query.thing.intent
    others = labels if wanted in query.thing.domain.intents else query.thing.domain.intents + labels
    return Draft(replace(query.thing, intent=rng.choice([intent for intent in others if intent != wanted])))


def _core(query: Query) -> tuple[Term, str]:
    core = query.thing.cores[0]
    return core, query.forms[core]


def _rewordable(query: Query) -> list[Term]:
    return [term for term in query.thing.terms if len(term.forms) > 1]


def _background(query: Query, rng: Random) -> tuple[Term, ...]:
    return tuple(term for term in _rewordable(query) if rng.random() < BACKGROUND_REWORDING)


def _renamed(query: Query, cores: tuple[Term, ...], rng: Random) -> Draft:
    return Draft(query.thing.moved(query.thing.category, cores), _background(query, rng), named=cores)


def _doubles(query: Query) -> list[tuple[Term, ...]]:
    """Cores of the category that share a word with a core of several words: laptop bag, gym bag."""
    form = _core(query)[1]
    if query.thing.is_route or " " not in form:
        return []
    return [cores for cores in neighbours(query.thing) if share_a_word(form, cores[0].name)]


def _lookalikes(query: Query) -> list[tuple[Category, Term]]:
    form = _core(query)[1]
    return [(category, core) for category, core in strangers(query.thing) if share_a_word(form, core.name)]
