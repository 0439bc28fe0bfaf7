"""The section on what can go says what the results say: planted decisions, sizes and controls."""

from collections import Counter
from dataclasses import replace

import pytest

from pipeline.report import pruning
from pipeline.report.canvas import report_style
from pipeline.report.results import Results
from pipeline.stats.measure_sets import GRADER, RANKER
from tests.support import frames
from tests.support.svg import svg_texts


def results(of=GRADER, **changed) -> Results:
    whole = frames.results(of=of)
    return replace(whole, pruning=replace(whole.pruning, **changed))


def test_what_can_go_is_told_with_its_margin():
    said = pruning.summary(results())
    assert said == (
        "1 of 72 heads and 2 blocks of feed-forward neurons can go, 5% of the parameters of all heads and neurons: "
        "confirmed by a margin of 0.02 accuracy on all pairs and of 0.1 on a slice (the worst, kind: hard, -0.009). "
        "Changed predictions: 3.0%. Nothing was trained again."
    )
    said = pruning.summary(results(RANKER))
    assert "a margin of 0.02 nDCG@10 on all pairs and of 0.1 on a slice (the worst, kind: hard, -0.009)." in said
    assert "Top title changed: 3.0%." in said


def test_too_few_pairs_are_told():
    metrics = results().pruning.metrics | {"confirmed": 0, "pairs_needed": 3210}
    said = pruning.summary(results(metrics=metrics))
    assert "not confirmed by a margin of 0.02 accuracy on all pairs" in said
    assert "-0.009); 1,500 test pairs are too few, which takes about 3,210" in said


def test_nothing_can_go_is_told_with_the_smallest_size():
    decision = results().pruning.decision.assign(decision="keep")
    said = pruning.summary(results(decision=decision))
    assert said == (
        "No head can go: none is shown to be dispensable by a margin of 0.02 accuracy on all pairs and of 0.1 on a "
        "slice (the worst, kind: hard, -0.009). The smallest size tried, 1 head, fails."
    )


def test_without_slices_one_margin_is_named():
    ladder = results().pruning.ladder
    said = pruning.summary(results(ladder=ladder[ladder["slice"] == "all"]))
    assert "confirmed by a margin of 0.02 accuracy. Changed" in said


def test_where_all_is_protected_there_is_no_size():
    whole = results()
    none = {"ladder": whole.pruning.ladder[:0], "decision": whole.pruning.decision.assign(decision="protected")}
    assert pruning.summary(results(**none)) == "No head can go: all are protected."
    assert pruning.ladder_table(results(**none)).rows == []


def test_a_size_fails_where_a_slice_does():
    rows = pruning.ladder_table(results()).rows
    assert rows[0] == ["1", "2", "5%", "-0.0010", "-0.0090", "kind: hard", "-0.009", "passes"]
    assert rows[1] == ["2", "4", "10%", "-0.0010", "-0.0090", "kind: hard", "-0.150", "fails"]


def test_controls_stand_beside_the_search():
    controls = results().pruning.controls
    controls.loc[controls["chosen_by"] == "random", "change"] = [-0.3, -0.1, -0.2, 0.0, -0.25]
    rows = pruning.controls_table(results(controls=controls)).rows
    assert "on 450 test pairs" in pruning.controls_table(results()).caption
    assert rows[0] == ["the search", "1", "-0.010", "-0.010", "-0.010", "0.020"]
    assert rows[1] == ["drawn anywhere", "5", "-0.200", "-0.300", "+0.000", "0.020"]
    assert [row[0] for row in rows[2:]] == ["drawn, as many in each layer", "smallest output weights"]


@pytest.mark.parametrize(("layers", "heads"), [(2, 4), (6, 12), (24, 16)])
def test_every_head_has_its_decision_in_the_figure(layers: int, heads: int):
    with report_style(["DejaVu Sans"]):
        drawn = pruning.decision_map(frames.results(layers, heads))
    others = layers * heads - 3
    assert drawn.words.alt == (
        f"Matrix of {layers} layers by {heads} heads: {others} keep, 1 protected, 1 uncertain, 1 remove."
    )
    texts = Counter(svg_texts(drawn))
    assert (texts["gone"], texts["prot."], texts["?"], texts["keep"]) == (1, 1, 1, others)


def test_where_sizes_were_trained_again_that_is_told():
    said = pruning.summary(results(epochs=2))
    assert said.endswith("trained again for 2 epochs, and so was the whole model that it is compared with.")


def test_of_several_searches_the_figure_shows_how_often_a_head_goes():
    decision = results().pruning.decision
    decision.loc[decision["decision"] == "uncertain", "frequency"] = 2 / 3
    with report_style(["DejaVu Sans"]):
        drawn = pruning.decision_map(results(seeds=3, decision=decision))
    assert Counter(svg_texts(drawn))["67%"] == 1
    assert "the share of 3 searches" in drawn.words.caption


def test_the_study_is_quoted_where_there_is_one():
    assert pruning.served(results()) == ""
    said = pruning.served(results(study=frames.pruning_study()))
    assert "There 36 of 72 heads can go in 2 of 2 seeds without accuracy being worse" in said
    assert "With 36 gone" in said
    assert "4.0 ms a pair instead of 8.0" in said
