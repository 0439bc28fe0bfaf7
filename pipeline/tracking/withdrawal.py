"""Taking the newest model's alias away from a model that turned out worse than it may."""

from pipeline.tracking import registry
from pipeline.tracking.delivery import never_failing
from pipeline.tracking.reading import opened


def withdraw_model(experiment: str, since: int) -> str | None:
    """Withdraw the model of a row started since then (milliseconds since 1970).

    Returns the version that the alias is back at; None where there is none, or MLflow does not answer, which is told.
    """
    with never_failing(), opened() as client:
        if client is not None:
            return registry.withdraw(client, experiment, since)
    return None
