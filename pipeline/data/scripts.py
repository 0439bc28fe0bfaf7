"""Scripts of texts: characters that belong to words, and scripts whose words white space does not separate."""

import unicodedata
from collections import Counter
from collections.abc import Iterable
from functools import cache

# First word of a letter's Unicode name -> the script as people call it, where words are written without spaces and no
# segmenter is at hand. Chinese, which has one, is none of them.
UNSEGMENTED = {
    "HIRAGANA": "Japanese",
    "KATAKANA": "Japanese",
    "KATAKANA-HIRAGANA": "Japanese",
    "THAI": "Thai",
    "LAO": "Lao",
    "KHMER": "Khmer",
    "MYANMAR": "Burmese",
    "TIBETAN": "Tibetan",
}
WITH_CASE_OF_WIDTH = ("FULLWIDTH", "HALFWIDTH")
JOINERS = "\u200c\u200d"  # zero width non-joiner and joiner, which stand inside words of Persian or Sinhala
NOTABLE = 0.02  # share of the letters from which on a script is said
# Planes with marks: the basic and the first supplementary one, and the variation selectors.
_MARKED = (range(0x300, 0x20000), range(0xE0100, 0xE01F0))


def _mark_ranges() -> str:
    """Every mark (Unicode category M) as ranges of a regular expression's class."""
    marks = [code for codes in _MARKED for code in codes if unicodedata.category(chr(code))[0] == "M"]
    starts = [code for code in marks if unicodedata.category(chr(code - 1))[0] != "M"]
    ends = [code for code in marks if unicodedata.category(chr(code + 1))[0] != "M"]
    return "".join(f"{chr(start)}-{chr(end)}" for start, end in zip(starts, ends, strict=True))


MARKS = _mark_ranges()

# Inside a word: marks belong to the letter before them, such as vowel signs and accents, and joiners to the letters
# around them, but `\w` leaves both out.
IN_WORD = rf"[\w{MARKS}]|[{JOINERS}]+(?=[\w{MARKS}])"


@cache
def script_of(character: str) -> str:
    """First word of the character's Unicode name, such as LATIN, CJK or DEVANAGARI; "" where it has none."""
    words = unicodedata.name(character, "").split()
    return words[1] if len(words) > 1 and words[0] in WITH_CASE_OF_WIDTH else words[0] if words else ""


def unsegmented_languages(texts: Iterable[str]) -> list[str]:
    """Languages among the texts whose words are not found reliably, of some share of the letters, commonest first."""
    letters = Counter(character for text in texts for character in text if character.isalpha())
    found: Counter[str] = Counter()
    for letter, count in letters.items():
        if language := UNSEGMENTED.get(script_of(letter)):
            found[language] += count
    return [language for language, count in found.most_common() if count >= NOTABLE * letters.total()]


def segmentation_notice(languages: Iterable[str]) -> str | None:
    """What is said of languages whose words are not found reliably; None where there are none."""
    if not (listed := " and ".join(languages)):
        return None
    return (
        f"Words of {listed} text are not found reliably: a run of its letters counts as one word. What is said of "
        "terms (term_match, previous_term, segmentation, word overlap, the BiLSTM, BM25) holds of such runs. Put "
        "spaces between the words of the table, where a segmenter is at hand."
    )
