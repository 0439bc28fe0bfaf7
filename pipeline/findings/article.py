"""The article's findings and figures, quoted for comparison with this run.

Source: "BERT 可解释性 - 从'头'说起" (Tencent, June 2020), a Chinese bert-base of 12 layers x 12 heads on five grades.
Changes are relative to the unmasked accuracy, as fractions: -0.524 is the article's "-52.4%".
"""

from typing import NamedTuple

from pipeline.ablation.head_groups import SAFE_SHARE as SAFE_SHARE  # masking fewer at random costs nothing

RANDOM_FIVE = 0.0
TERM_MATCH_FIVE = -0.524
LOWER_HALF = -0.865
LOWER_HALF_EXCEPT_FIVE = -0.181  # the five term-match heads
LAYERS = 12


class Claim(NamedTuple):
    """A finding of the article: its statement, and its figure in words."""

    statement: str
    figure: str


CLAIMS = {
    "R0": Claim(
        "The fine-tuned BERT grades better than a BiLSTM with interactive attention.",
        "BERT is better (margin not stated)",
    ),
    "R1": Claim(
        "Heads are redundant: masking under 20% of them at random costs nothing, masking more costs steadily more.",
        "under 20%: no loss, at 10% even a rise; beyond 20%: a steady fall (figures not stated)",
    ),
    "R2": Claim(
        "Masking one whole layer hurts little, and the lower half of the layers matters more than the upper.",
        f"lower half masked: {LOWER_HALF:+.1%}; upper half and single layers: not stated",
    ),
    "F1": Claim(
        "Heads that segment words exist in the low layers.",
        "such heads exist in the low layers (no figure, and no claim about what masking them costs)",
    ),
    "F2": Claim(
        "Heads that carry word order exist in the low layers.",
        "such heads exist in the low layers (no figure, and no claim about what masking them costs)",
    ),
    "F3": Claim(
        "A few low heads that match the same term across query and title carry much of the result.",
        f"five term-match heads (layers 2-4): {TERM_MATCH_FIVE:+.1%}; five random heads: {RANDOM_FIVE:+.0%}; "
        f"lower half: {LOWER_HALF:+.1%}; lower half except the five: {LOWER_HALF_EXCEPT_FIVE:+.1%}",
    ),
    "T1": Claim(
        "In a term-match head, fine-tuning makes attention to the same term grow, and attention to itself and to the "
        "sink (the place for nothing to attend to) shrink.",
        "one head: same term grew, self shrank, [SEP], its sink, shrank (figures not stated)",
    ),
    "S1": Claim(
        "Most heads masked alone change about nothing; a few matter, a low term-match head and a high head among them.",
        "most of the 144 heads: about 0; a low term-match head and one head in layer 10 matter (figures not stated)",
    ),
    "S2": Claim("Some heads' removal helps.", "some do (heads and figures not stated); why is left open"),
    "D1": Claim(
        "The high head that matters reads through [CLS] what the low term-match heads extracted: with these masked, "
        "its attention leaves the shared terms and scatters, and their effect passes through such heads.",
        "one pair: with five low heads masked, a layer-10 head's attention scatters over other terms (no figure)",
    ),
    "D1-direction": Claim(
        "Unmasked, [CLS] of the high head that matters attends to the terms that query and title share.",
        "one pair: the whole shared phrase (no figure)",
    ),
}
