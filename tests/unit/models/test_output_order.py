"""Outputs of a model fine-tuned elsewhere in another order than the grades are noticed before anything is masked."""

import numpy as np
import pytest

from pipeline.core.errors import InputError
from pipeline.models.output_order import check_output_order
from tests.support.builders import GRADES, tiny_params
from tests.support.cross_encoders import ranker_params

RNG = np.random.default_rng(0)
GOLD = RNG.integers(0, 5, 200)
QUERIES = np.repeat(np.arange(40), 5)
GOOD = 3 * np.eye(5)[GOLD] + RNG.normal(size=(200, 5))  # right on most pairs


def params(**changes):
    return tiny_params(**{"model__fine_tuned": True, **changes})


@pytest.mark.parametrize("order", [[4, 3, 2, 1, 0], [1, 4, 0, 2, 3], [1, 0, 2, 3, 4]])
def test_another_order_that_fits_stops_and_is_named(order):
    """Output i stands for grade order[i]: reversed, sorted by the alphabet, two exchanged."""
    named = [GRADES[grade] for grade in order]
    with pytest.raises(InputError) as raised:
        check_output_order(GOLD, GOOD[:, order], QUERIES, params())
    assert f"taken for {named} they would be" in str(raised.value)
    assert f"Set model.label_order to that, or to {GRADES} where the order is right" in str(raised.value)


def test_an_order_that_was_named_is_followed_with_a_notice_in_the_checkpoint_s_own_order(capsys):
    """Outputs are best first, model.label_order says otherwise: what would be right is said of the file's outputs."""
    given = ["2", "1", "3", "4", "5"]
    in_file = GOOD[:, ::-1]
    taken = in_file[:, [given.index(grade) for grade in GRADES]]
    check_output_order(GOLD, taken, QUERIES, params(model__label_order=given))
    said = capsys.readouterr().err
    assert "taken for ['5', '4', '3', '2', '1'] they would be" in said
    assert "look whether model.label_order is right" in said


@pytest.mark.parametrize(
    "logits", [GOOD, RNG.normal(size=(200, 5)), np.eye(5)[np.full(200, 3)], np.eye(5)[np.maximum(GOLD - 1, 0)] + GOOD]
)
def test_right_chance_constant_and_lenient_models_pass(logits, capsys):
    check_output_order(GOLD, logits, QUERIES, params())
    assert capsys.readouterr().err == ""


def test_a_few_pairs_are_no_evidence():
    check_output_order(GOLD[:6], GOOD[:6, ::-1], QUERIES[:6], params())


def test_scores_upside_down_are_noticed(capsys):
    score = GOLD + RNG.normal(size=200)
    check_output_order(GOLD, score[:, None], QUERIES, ranker_params())
    assert capsys.readouterr().err == ""
    check_output_order(GOLD, -score[:, None], QUERIES, ranker_params())
    said = capsys.readouterr().err
    assert "scores the worse titles higher in" in said
    assert "Turn the sign" in said
    check_output_order(GOLD, np.random.default_rng(1).normal(size=(200, 1)), QUERIES, ranker_params())
    assert capsys.readouterr().err == ""
