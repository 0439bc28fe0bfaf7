"""The shape of a vocabulary: what a language's data modules are made of, and the notation they are written in.

A term is written as its forms, `sofa = couch`: the first is the usual one, the others are synonyms. Terms are separated
by `;`. A blank inside a form separates the words of a multi-word term, in Chinese too, where it is not printed. A star
marks a word that an ordinary WordPiece vocabulary does not hold whole: `*gazpacho`.

Frames and layouts are `str.format` texts. A layout places the parts of a phrase, `{before} {0} {after}` (for a route
`{0}` is the origin and `{1}` the destination); a frame says what is wanted of that phrase, `{} recipe`.
"""

from collections.abc import Callable
from dataclasses import dataclass

STAR = "*"


@dataclass(frozen=True)
class Term:
    """One meaning with its wordings; the first form is the usual one."""

    forms: tuple[str, ...]
    split: frozenset[str] = frozenset()  # the forms that a WordPiece vocabulary breaks up
    held_out: tuple[str, ...] = ()  # the forms that neither train nor dev shows

    @property
    def name(self) -> str:
        return self.forms[0]


@dataclass(frozen=True)
class Kind:
    """A kind of modifier, of which a phrase carries at most one: a colour, a diet, a device."""

    name: str
    place: str  # "before" or "after" the core
    terms: tuple[Term, ...]


@dataclass(frozen=True)
class Category:
    """Cores that are alternatives of one another, and the kinds of modifier that suit them."""

    name: str
    cores: tuple[Term, ...]
    kinds: tuple[str, ...]


@dataclass(frozen=True)
class Intent:
    """What the searcher wants of the thing, as queries ask for it and as titles offer it."""

    name: str
    queries: tuple[str, ...]
    titles: tuple[str, ...]


@dataclass(frozen=True)
class Domain:
    name: str
    categories: tuple[Category, ...]
    kinds: tuple[Kind, ...]
    intents: tuple[Intent, ...]
    labels: tuple[str, ...]  # names of the language's label intents that go with the phrases of this domain
    query_layouts: tuple[str, ...]
    title_layouts: tuple[str, ...]
    tails: tuple[str, ...]  # what titles add after their subject, at any grade
    arity: int = 1  # cores in a phrase: 2 for routes, whose order matters

    def kind(self, name: str) -> Kind:
        return next(kind for kind in self.kinds if kind.name == name)


@dataclass(frozen=True)
class Language:
    domains: tuple[Domain, ...]
    labels: tuple[Intent, ...]  # intents that want the words, not the thing: a crossword clue, a drawing, a song
    sites: tuple[str, ...]  # invented site names that titles end with
    joint: str  # printed between the words of a term
    headline: Callable[[str], str]  # a title's capital letters

    def label_intents(self, domain: Domain) -> tuple[Intent, ...]:
        return tuple(intent for intent in self.labels if intent.name in domain.labels)


def terms(text: str) -> tuple[Term, ...]:
    """Read `*gazpacho = cold soup; borscht` into terms."""
    return tuple(_term(entry) for entry in text.split(";") if entry.strip())


def lines(text: str) -> tuple[str, ...]:
    """Read one frame, layout or tail a line; blank lines do not count."""
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def _term(entry: str) -> Term:
    forms = [form.strip() for form in entry.split("=")]
    split = frozenset(form.removeprefix(STAR) for form in forms if form.startswith(STAR))
    return Term(tuple(form.removeprefix(STAR) for form in forms), split)
