"""The English vocabulary: four domains, and the intents that want the words and not the thing."""

import re

from pipeline.data.synthetic.english.health import HEALTH
from pipeline.data.synthetic.english.products import PRODUCTS
from pipeline.data.synthetic.english.recipes import RECIPES
from pipeline.data.synthetic.english.routes import ROUTES
from pipeline.data.synthetic.vocabulary import Intent, Language, lines

FIRST_LETTER = re.compile(r"[^\W\d_]")
SMALL_WORDS = frozenset(
    ["a", "an", "and", "at", "by", "for", "from", "in", "into", "is", "of", "on", "or", "the", "to", "with"]
)

LABELS = (
    Intent(
        "picture",
        lines("""
            {} clip art
            {} colouring page
            drawing of {}
        """),
        lines("""
            {}: Free Clip Art
            Colouring Page: {}
            {} – Drawings and Sketches
        """),
    ),
    Intent(
        "puzzle",
        lines("""
            {} crossword clue
            crossword {}
        """),
        lines("""
            Crossword Clue: {}
            {} – Crossword Answers
            {}, Puzzle Solver With 7 Letters
        """),
    ),
    Intent(
        "song",
        lines("""
            {} lyrics
            song {}
            {} chords
        """),
        lines("""
            {} – Song Lyrics
            {} (Official Music Video)
            "{}": Lyrics and Chords
        """),
    ),
    Intent(
        "translation",
        lines("""
            {} in spanish
            translate {}
        """),
        lines("""
            How to Say "{}" in Spanish
            {} – English-Spanish Dictionary
            Translation of "{}"
        """),
    ),
)


def headline(text: str) -> str:
    """Capital letters as titles carry them: on the first word, and on all others that are neither small nor mixed."""
    words = text.split(" ")
    rest = [word if word in SMALL_WORDS or not word.islower() else _capital(word) for word in words[1:]]
    return " ".join([_capital(words[0]) if words[0].islower() else words[0], *rest])


def _capital(word: str) -> str:
    return FIRST_LETTER.sub(lambda letter: letter.group().upper(), word, count=1)


ENGLISH = Language(
    domains=(PRODUCTS, RECIPES, HEALTH, ROUTES),
    labels=LABELS,
    sites=lines("""
        Harbour Lane
        Quillby
        The Daily Fern
        Northgate
        Pebble & Co
        OpenShelf
        Marlow Weekly
        Tilda Kiosk
        Everyday Notes
        Tallis Hub
    """),
    joint=" ",
    headline=headline,
)
