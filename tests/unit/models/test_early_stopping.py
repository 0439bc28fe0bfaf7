"""The rule that ends a training: patience, the cap and ties, worked by hand; what the best epoch's weights are."""

import itertools

import pytest
import torch

from pipeline.core.config import Training
from pipeline.models.early_stopping import EarlyStopping, Epoch, LearningCurve


def train(qwks, max_epochs=9, patience=2, log_losses=None):
    """A model whose one weight is the number of its epoch, after training with these dev scores; and its curve."""
    scores = zip(qwks, log_losses or itertools.repeat(1.0), strict=False)
    model = torch.nn.Linear(1, 1, bias=False)
    stopping = EarlyStopping(
        "grader",
        lambda: dict(zip(("qwk", "log_loss"), next(scores), strict=True)),
        Training(max_epochs=max_epochs, patience=patience),
    )
    for number in itertools.count(1):
        torch.nn.init.constant_(model.weight, number)
        stopping.end_epoch(model.train(), 0.5)
        if stopping.is_over:
            return model, stopping.restore_best(model)


@pytest.mark.parametrize(
    ("qwks", "patience", "trained", "best"),
    [
        ([0.1, 0.3, 0.2, 0.4, 0.4, 0.1, 0.9], 2, 6, 4),
        ([0.1, 0.3, 0.2, 0.4], 1, 3, 2),
        ([0.1, 0.3, 0.2, 0.3, 0.3, 0.9], 3, 5, 2),
        ([None, None, None, 0.9], 2, 3, 1),
        ([None, 0.0, None, None], 2, 4, 2),
    ],
)
def test_training_ends_where_dev_stops_improving(qwks, patience, trained, best):
    model, curve = train(qwks, patience=patience)
    assert (len(curve.epochs), curve.best) == (trained, best)
    assert curve.metrics() == {"epochs": trained, "best_epoch": best, "converged": 1}
    assert model.weight.item() == best
    assert not model.training


def test_a_tie_is_broken_by_the_log_loss():
    _, curve = train([0.3, 0.3, 0.3, 0.3], log_losses=[1.0, 0.8, 0.9, 0.8])
    assert (len(curve.epochs), curve.best) == (4, 2)


def test_a_ranker_is_judged_by_its_order_and_then_by_how_sure_it_is_of_it():
    scores = iter([(0.8, 0.5), (0.9, 0.6), (0.9, 0.4), (None, 0.1), (0.9, None)])
    stopping = EarlyStopping(
        "ranker",
        lambda: dict(zip(("ndcg_at_10", "pairwise_log_loss"), next(scores), strict=True)),
        Training(max_epochs=5, patience=5),
        "ranker",
    )
    model = torch.nn.Linear(1, 1)
    while not stopping.is_over:
        stopping.end_epoch(model, 0.5)
    assert stopping.restore_best(model).best == 3


def test_improving_up_to_the_cap_is_no_convergence(capsys):
    model, curve = train([0.1, 0.2, 0.3, 0.9], max_epochs=3)
    assert curve.metrics() == {"epochs": 3, "best_epoch": 3, "converged": 0}
    assert model.weight.item() == 3
    said = "grader: not converged: the best epoch, 3, is the last one allowed; raise training.max_epochs (3)"
    assert capsys.readouterr().err.splitlines()[-1] == said


def test_a_best_epoch_before_the_cap_is_convergence(capsys):
    assert train([0.1, 0.4, 0.3], max_epochs=3)[1].is_converged
    assert "converged" not in capsys.readouterr().err


def test_of_nothing_trained_convergence_is_not_known():
    curve = LearningCurve([Epoch(0, None, {"qwk": None, "mae": 0.5})], best=0, max_epochs=0)
    assert curve.metrics() == {"epochs": 0, "best_epoch": 0, "converged": None}
    assert curve.table().to_csv(index=False) == "epoch,train_loss,dev_qwk,dev_mae\n0,,,0.5\n"
    assert curve.points() == [("dev_mae", 0.5, 0)]
    assert LearningCurve([], best=0, max_epochs=0).metrics() == curve.metrics()
