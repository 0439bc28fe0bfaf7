"""Held-out vocabulary: the terms and synonyms that only test shows.

Of each category a third of the cores, in all their forms, and a third of the other cores' synonyms. Each form that is
held out has a word that stands nowhere else in the language, so that a model meets it for the first time in test.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from random import Random

from pipeline.data.synthetic.vocabulary import Language, Term

SEEN, UNSEEN = "seen", "unseen"  # whether train shows every word of a query
SHARE = 1 / 3
WORD = re.compile(r"\w+")


def hold_out(language: Language, rng: Random) -> Language:
    """The language with a share of its cores and synonyms marked as held out."""
    everything = _joined(_texts(language), language.joint)

    def is_new(form: str, own: Iterable[str]) -> bool:
        """Whether a word of the form stands in no text besides its `own`, not even within another word."""
        rest = _joined(own, language.joint)
        return any(everything.count(word) == rest.count(word) for word in WORD.findall(form.lower()))

    return _with_cores(language, lambda cores: _marked(cores, is_new, rng))


def seen_part(language: Language) -> Language:
    """The language without the forms that are held out."""
    return _with_cores(language, _without_held_out)


def _marked(cores: Sequence[Term], is_new: Callable[[str, Iterable[str]], bool], rng: Random) -> Iterator[Term]:
    new = [core.name for core in cores if all(is_new(form, core.forms) for form in core.forms)]
    names = _draw_share(new, len(cores), rng)
    others = [form for core in cores if core.name not in names for form in core.forms[1:]]
    synonyms = _draw_share([form for form in others if is_new(form, [form])], len(others), rng)
    for core in cores:
        held_out = core.forms if core.name in names else tuple(form for form in core.forms if form in synonyms)
        yield replace(core, held_out=held_out)


def _draw_share(forms: Sequence[str], of: int, rng: Random) -> list[str]:
    return rng.sample(forms, min(len(forms), round(SHARE * of)))


def _without_held_out(cores: Iterable[Term]) -> Iterator[Term]:
    for core in cores:
        forms = tuple(form for form in core.forms if form not in core.held_out)
        if forms:
            yield Term(forms, core.split)


def _with_cores(language: Language, change: Callable[[tuple[Term, ...]], Iterable[Term]]) -> Language:
    """The language with each category's cores changed."""
    domains = (
        replace(domain, categories=tuple(replace(item, cores=tuple(change(item.cores))) for item in domain.categories))
        for domain in language.domains
    )
    return replace(language, domains=tuple(domains))


def _texts(language: Language) -> Iterator[str]:
    """Everything that a pair may be made of."""
    yield from language.sites
    for intent in (*language.labels, *(intent for domain in language.domains for intent in domain.intents)):
        yield from (*intent.queries, *intent.titles)
    for domain in language.domains:
        yield from (*domain.query_layouts, *domain.title_layouts, *domain.tails)
        for group in (*(item.cores for item in domain.categories), *(kind.terms for kind in domain.kinds)):
            yield from (form for term in group for form in term.forms)


def _joined(texts: Iterable[str], joint: str) -> str:
    return "\n".join(text.replace(" ", joint) for text in texts).lower()
