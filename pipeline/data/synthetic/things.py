"""What a query asks for or a title offers, as terms and before any wording."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random
from typing import Self

from pipeline.data.synthetic.hold_out import SEEN, UNSEEN
from pipeline.data.synthetic.vocabulary import Category, Domain, Intent, Kind, Language, Term

LABEL_SHARE = 0.04  # of the queries, those that want the words and not the thing
TWO_MODIFIERS = 0.1  # of the queries; the others carry one

Combination = tuple[str, frozenset[str]]


@dataclass(frozen=True)
class Thing:
    """One core, or two for a route, with its modifiers and what is wanted of it."""

    domain: Domain
    category: Category
    intent: Intent
    cores: tuple[Term, ...]
    modifiers: tuple[tuple[Kind, Term], ...]

    @property
    def terms(self) -> tuple[Term, ...]:
        return self.cores + tuple(term for _, term in self.modifiers)

    @property
    def combination(self) -> Combination:
        """The terms, whatever their order, wording and intent."""
        return self.domain.name, frozenset(term.name for term in self.terms)

    @property
    def vocabulary(self) -> str:
        """Whether train shows every word of a query for it."""
        return UNSEEN if any(term.held_out for term in self.terms) else SEEN

    @property
    def is_route(self) -> bool:
        return self.domain.arity == 2

    def without(self, dropped: Term) -> Self:
        return replace(self, modifiers=tuple(pair for pair in self.modifiers if pair[1] != dropped))

    def changed(self, old: Term, new: Term) -> Self:
        """The same thing with another modifier in the place of one."""
        return replace(self, modifiers=tuple((kind, new if term == old else term) for kind, term in self.modifiers))

    def moved(self, category: Category, cores: tuple[Term, ...]) -> Self:
        """The same wish for other cores, with those modifiers that suit them."""
        kept = tuple(pair for pair in self.modifiers if pair[0].name in category.kinds)
        return replace(self, category=category, cores=cores, modifiers=kept)


def draw_thing(language: Language, domain: Domain, rng: Random) -> Thing:
    """A random thing of the domain: cores, one or two modifiers, an intent."""
    category = rng.choice(domain.categories)
    cores = tuple(rng.sample(category.cores, domain.arity))
    names = rng.sample(category.kinds, 2 if rng.random() < TWO_MODIFIERS else 1)
    kinds = [domain.kind(name) for name in category.kinds if name in names]
    intents = language.label_intents(domain) if rng.random() < LABEL_SHARE else domain.intents
    return Thing(domain, category, rng.choice(intents), cores, tuple((kind, rng.choice(kind.terms)) for kind in kinds))


def neighbours(thing: Thing) -> list[tuple[Term, ...]]:
    """Other cores of the same category; for a route, those that keep one of the two places."""
    others = [term for term in thing.category.cores if term not in thing.cores]
    if not thing.is_route:
        return [(term,) for term in others]
    origin, destination = thing.cores
    return [*((origin, term) for term in others), *((term, destination) for term in others)]


def strangers(thing: Thing) -> Iterator[tuple[Category, Term]]:
    """The cores of the domain's other categories."""
    for category in thing.domain.categories:
        if category != thing.category:
            yield from ((category, core) for core in category.cores)


def share_a_word(one: str, other: str) -> bool:
    return not set(one.split()).isdisjoint(other.split())
