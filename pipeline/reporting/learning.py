"""The learning curve: how training loss and dev agreement moved from epoch to epoch."""

from matplotlib.ticker import MaxNLocator

from pipeline.reporting import style
from pipeline.reporting.picture import Picture, Words, canvas, panel, picture
from pipeline.reporting.results import Results

SHOWN = {"dev_accuracy": style.BLUE, "dev_qwk": style.GREEN}


def learning_curve(results: Results) -> Picture:
    """Training loss on the left, dev accuracy and quadratic weighted kappa on the right, by epoch."""
    curve = results.curve
    figure = canvas(7.4, 2.8)
    loss, scores = (panel(figure, left, 0.5, 2.8, 2.1) for left in (0.7, 4.4))
    loss.plot(curve["epoch"], curve["train_loss"], "o-", color=style.ORANGE, ms=4)
    loss.set(ylabel="training loss (nats)")
    for name in filter(curve.columns.__contains__, SHOWN):
        scores.plot(curve["epoch"], curve[name], "o-", color=SHOWN[name], ms=4, label=name)
    scores.set(ylabel="dev score")
    scores.legend()
    for axes in (loss, scores):
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    words = Words(
        name="learning_curve",
        title="Learning curve",
        alt=f"Training loss from {curve['train_loss'].iloc[0]:.3f} to {curve['train_loss'].iloc[-1]:.3f} over "
        f"{len(curve)} epochs, and dev scores.",
        caption="Left: mean training loss of each epoch, in nats. Right: accuracy and quadratic weighted kappa (qwk) "
        "on the dev split after each epoch, 1 being perfect. The epoch with the best qwk is the model analysed.",
    )
    return picture(figure, words)
