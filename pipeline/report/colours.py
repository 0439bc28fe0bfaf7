"""Colours of every figure and of the explorer, safe for colour-blind readers.

A function of heads has one colour wherever it is drawn (Tol's nine muted colours), none of which says anything else.
The explorer's app/src/colours.ts repeats those that it shows; a test holds the two together.
"""

from pipeline.attention.head_functions import FUNCTIONS

# Lines, bars and marks that are no function (Okabe and Ito 2008).
BLUE, ORANGE, GREEN, GREY, INK = "#0072B2", "#D55E00", "#009E73", "#9A9A9A", "#222222"
QUIET = "#505050"  # text that need not be read first; its contrast to the palest half of a scale is above 4.5
UNDEFINED = "#DDDDDD"

SCORES = "Purples"  # sequential: how much
CHANGES = "RdBu"  # diverging: red lost, blue gained, white nothing
SHARES_OF_WAY = "RdBu_r"  # the same of shares of the way to the constant model, where more is worse
LOST, GAINED, AMOUNT = "#B2182B", "#2166AC", "#54278F"  # poles of the explorer's scales: steps of CHANGES and SCORES

MUTED = ("#332288", "#CC6677", "#117733", "#44AA99", "#999933", "#88CCEE", "#DDCC77", "#882255", "#AA4499")
FUNCTION_COLOURS = dict(zip(FUNCTIONS, MUTED, strict=True))
NO_FUNCTION = "#D0D0D0"


def function_colour(name: str) -> str:
    """Colour of a function; of a group that is no single function, such as word_order, the ink."""
    return FUNCTION_COLOURS.get(name, INK)
