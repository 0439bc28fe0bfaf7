"""Things put into words: queries as people type them, titles as pages carry them."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from pipeline.data.synthetic.things import Thing
from pipeline.data.synthetic.vocabulary import Language, Term

USUAL_FORM = 0.9  # share of the terms that are worded by the first of their forms
TAIL_SHARE = 0.1  # of the titles; drawn whatever the grade, but not for songs, drawings and the like
SITE_SHARE = 0.15
TIGHT = (",", "，", "（")  # tails that follow without a blank begin so
UNIT = re.compile(r"[\u4e00-\u9fff]|[^\W\u4e00-\u9fff]+")

Forms = Mapping[Term, str]


@dataclass(frozen=True)
class Query:
    thing: Thing
    forms: Forms
    text: str


def write_query(language: Language, thing: Thing, rng: Random) -> Query:
    """Word a thing as a query; its wording of each term is kept, since titles repeat it or avoid it.

    A term with forms that are held out takes one of them.
    """
    forms = {term: usual_form(term.held_out or term.forms, rng) for term in thing.terms}
    phrase = _phrase(language, thing, forms, rng.choice(thing.domain.query_layouts))
    return Query(thing, forms, rng.choice(thing.intent.queries).format(phrase).lower())


def write_title(language: Language, thing: Thing, forms: Forms, rng: Random) -> str:
    """Word a thing as a page title, now and then with a tail and the site's name."""
    phrase = _phrase(language, thing, forms, rng.choice(thing.domain.title_layouts))
    title = language.headline(rng.choice(thing.intent.titles).format(phrase))
    if thing.intent in thing.domain.intents and rng.random() < TAIL_SHARE:
        tail = rng.choice(thing.domain.tails)
        title += tail if tail.startswith(TIGHT) else f" {tail}"
    if rng.random() < SITE_SHARE:
        title += f" | {rng.choice(language.sites)}"
    return title


def title_forms(thing: Thing, query: Query, reworded: Collection[Term], named: Collection[Term], rng: Random) -> Forms:
    """Word each term as the query does, or otherwise where it is `reworded`; `named` terms take their first form."""
    forms = {}
    for term in thing.terms:
        said = query.forms.get(term)
        if said is None:
            forms[term] = term.name if term in named else usual_form(term.forms, rng)
        elif term in reworded:
            forms[term] = rng.choice([form for form in term.forms if form != said])
        else:
            forms[term] = said
    return forms


def usual_form(forms: Sequence[str], rng: Random) -> str:
    return forms[0] if rng.random() < USUAL_FORM else rng.choice(forms)


def shared_part(query: str, title: str) -> float:
    """The share of the query's words (in Chinese: characters) that stand in the title."""
    asked = set(UNIT.findall(query.lower()))
    return len(asked & set(UNIT.findall(title.lower()))) / len(asked)


def _phrase(language: Language, thing: Thing, forms: Forms, layout: str) -> str:
    printed = {term: form.replace(" ", language.joint) for term, form in forms.items()}
    places = {
        place: language.joint.join(printed[term] for kind, term in thing.modifiers if kind.place == place)
        for place in ("before", "after")
    }
    text = layout.format(*(printed[core] for core in thing.cores), **places)
    # A part that is empty leaves a gap, or a comma with nothing behind it.
    return re.sub(r"\s+", " ", text).strip(" ,，").replace(" ,", ",")
