"""The cases that pairs are made of: which change leads to which grade, how often, and what it is called."""

from dataclasses import dataclass

from pipeline.data.synthetic import drafts


@dataclass(frozen=True)
class Case:
    """One way to a grade.

    weight: how often, relative to the other cases. overlap: the bounds of the share of the query's words that the title
    repeats.
    """

    phenomenon: str
    grade: int
    weight: float
    draft: drafts.DraftFunction
    overlap: tuple[float, float] = (0.0, 1.0)


CASES = (
    Case("exact", 4, 0.088, drafts.exact),
    Case("synonym", 4, 0.081, drafts.synonym),
    Case("multi_word", 4, 0.045, drafts.whole_term),
    Case("multi_word", 1, 0.05, drafts.part_of_a_term),
    Case("split_word", 4, 0.046, drafts.split_word),
    Case("split_word", 1, 0.053, drafts.other_split_word),
    Case("word_order", 4, 0.055, drafts.same_direction),
    Case("word_order", 1, 0.055, drafts.other_direction),
    Case("low_overlap_match", 4, 0.081, drafts.all_synonyms, overlap=(0.0, 0.25)),
    Case("missing_modifier", 3, 0.13, drafts.missing_modifier),
    Case("wrong_modifier", 2, 0.12, drafts.wrong_modifier),
    Case("wrong_intent", 2, 0.085, drafts.wrong_intent),
    Case("same_category", 1, 0.08, drafts.same_category),
    Case("unrelated", 0, 0.08, drafts.unrelated),
    Case("high_overlap_trap", 0, 0.081, drafts.trap, overlap=(0.5, 1.0)),
)
