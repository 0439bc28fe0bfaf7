"""What the badges of a head mean: its verdict, inert, and what pruning decides."""

from pipeline.analysis.ablation_effects import ENOUGH_CHANGED, HARMFUL, NEEDED, NO_EFFECT, SMALL, UNDECIDED
from pipeline.report.results import Results
from pipeline.tables.pruning import KEEP, PROTECTED, REMOVE, UNCERTAIN

INERT = "inert"


def badge_meanings(results: Results) -> dict[str, str]:
    """Badge -> its meaning, in the order of a legend."""
    return {**_verdicts(results), INERT: _inert(results), **_decisions(results)}


def _verdicts(results: Results) -> dict[str, str]:
    measure, margin = results.primary, results.tables.equivalence_margin
    size = f"{margin:.0%} of the way to a model that {results.words.nothing}"
    by_queries = f", in {ENOUGH_CHANGED} queries or more" if measure.per == "query" else ""
    beyond = f"by more than matters ({size}){by_queries}"
    unknown = "" if results.beats_constant else "; or there is nothing to lose: see the warning above"
    return {
        NEEDED: f"masked alone, {measure.label} surely gets worse, {beyond}",
        HARMFUL: f"masked alone, {measure.label} surely gets better, {beyond}",
        SMALL: f"masked alone, {measure.label} surely changes, by less than matters",
        NO_EFFECT: f"masked alone, {measure.label} surely changes by less than matters, if at all",
        UNDECIDED: f"the interval of the change allows for more and for less than matters{unknown}",
    }


def _inert(results: Results) -> str:
    free = " and ".join(measure.label for measure in results.measures.label_free)
    return f"masked alone, the predictions surely change by less than matters, right or wrong (by {free})"


def _decisions(results: Results) -> dict[str, str]:
    pruning = results.pruning
    label, margin = pruning.measure.label, f"{pruning.margin:g}"
    unconfirmed = "" if pruning.metrics.get("confirmed") else ", which too few pairs confirm"
    go = (pruning.decision["decision"] == REMOVE).any()
    others = "those that go" if go else "those tried first; no head can go"
    turn = "would go next" if go else "was tried first"
    meanings = {
        REMOVE: f"can go with all others so marked: {label} then gets worse by {margin} at most{unconfirmed}",
        KEEP: f"masked, it changes the predictions more than {others}",
        PROTECTED: "may not go, by your settings (pruning.protect)",
        UNCERTAIN: f"{turn}, but then {label} is not shown to get worse by {margin} at most",
    }
    return {f"pruning: {decision}": meaning for decision, meaning in meanings.items()}
