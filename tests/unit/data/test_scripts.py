import unicodedata

import pytest

from pipeline.data.scripts import MARKS, segmentation_notice, unsegmented_languages


def test_marks_are_those_of_unicode():
    ranges = [MARKS[start : start + 3] for start in range(0, len(MARKS), 3)]
    listed = {code for one in ranges for code in range(ord(one[0]), ord(one[2]) + 1)}
    assert listed == {code for code in range(0x110000) if unicodedata.category(chr(code))[0] == "M"}


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["a plain text", "北京大学", "한국어 문장", "हिन्दी"], []),
        (["ภาษาไทย and more"], ["Thai"]),
        (["日本語のテキスト", "ﾃｷｽﾄ", "ภ"], ["Japanese", "Thai"]),
        (["a" * 99, "あ"], []),  # a word here and there
        ([], []),
    ],
)
def test_languages_whose_words_are_not_found(texts, expected):
    assert unsegmented_languages(texts) == expected


def test_the_notice_names_the_languages():
    assert "Words of Thai and Lao text are not found reliably" in (segmentation_notice(["Thai", "Lao"]) or "")
    assert segmentation_notice([]) is None
