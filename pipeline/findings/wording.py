"""Words of findings, figures and tables for a kind of model: what its constant model is, and what it does better."""

from dataclasses import dataclass

from pipeline.stats.measure_sets import GRADER, RANKER, MeasureSet


@dataclass(frozen=True)
class Wording:
    """Words for a kind of model.

    Attributes:
        measures: the kind's.
        model: what is fine-tuned. does: what that does, to begin the report with.
        constant: the constant model.
        knows: what that knows or does, behind "which".
        nothing: what that does, in short.
        beats: what a better model does, with the value of `collapse_by` above which it does.
        margin: how far a pair is right.
        of_headline: the headline measure where a change of it is named, unless that is the article's own.
        slices: a sentence on what is measured on a slice of the pairs, where that is not the pairs themselves.
        tallies: columns of better and worse predictions, the worse first; `tallied`: what they count.
    """

    measures: MeasureSet
    model: str
    does: str
    constant: str
    knows: str
    nothing: str
    beats: str
    margin: str
    of_headline: str
    slices: str
    tallies: tuple[str, str]
    tallied: tuple[str, str]

    @property
    def headline(self) -> str:
        """The headline measure."""
        return self.measures.headline.label

    @property
    def change_axis(self) -> str:
        return f"relative {self.headline} change (%)"

    @property
    def way_axis(self) -> str:
        return f"way to the {self.constant} (%)"

    @property
    def collapse(self) -> str:
        """The measure that tells whether a masked model has collapsed."""
        return self.measures.collapse_by.label


WORDINGS = {
    "grader": Wording(
        GRADER,
        model="BERT",
        does="A BERT grades how well a title answers a query.",
        constant="constant grader",
        knows="knows how common each grade is and nothing of the pair",
        nothing="knows nothing",
        beats="grade better than one that knows the grades' shares alone (qwk above 0)",
        margin="gold-logit margin",
        of_headline="",
        slices="",
        tallies=("right_to_wrong", "wrong_to_right"),
        tallied=("pairs lost", "pairs won"),
    ),
    "ranker": Wording(
        RANKER,
        model="reranker",
        does="A reranker scores how well a title answers a query, and orders the query's titles by that.",
        constant="constant ranker",
        knows="scores all titles alike",
        nothing="scores all titles alike",
        beats="rank better than one that scores all titles alike (pairwise accuracy above 0.5)",
        margin="score margin",
        of_headline=" of nDCG@10",
        slices=" Changes on a slice are those of the queries with a title in it.",
        tallies=("queries_worse", "queries_better"),
        tallied=("queries worse", "queries better"),
    ),
}
