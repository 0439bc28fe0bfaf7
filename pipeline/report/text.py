"""Display of texts from the data: invisible and direction characters as codes, cut by display width."""

import re
import unicodedata
from bisect import bisect_right
from itertools import accumulate

CJK = re.compile("[\u2e80-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff]")
HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}  # control, format (direction marks), surrogate, unassigned, breaks


def visible(text: str) -> str:
    """The text with each control, direction or unassigned character written as its code, such as [U+202E]."""
    return "".join(f"[U+{ord(c):04X}]" if unicodedata.category(c) in HIDDEN else c for c in text)


def shortened(text: str, columns: int) -> str:
    """The visible text cut to so many columns, a wide character taking two, with an ellipsis where it was cut."""
    whole = visible(text)
    return whole if width(whole) <= columns else f"{whole[: bisect_right(_ends(whole), columns - 1)]}…"


def width(text: str) -> int:
    """Display width of the text in columns."""
    return max(_ends(text), default=0)


def _ends(text: str) -> list[int]:
    """Display width up to and including each character."""
    return list(accumulate(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text))


def has_cjk(text: str) -> bool:
    return CJK.search(text) is not None
