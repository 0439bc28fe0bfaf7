"""MLflow tracking: a parent run per pipeline execution, a child run per stage; no stage fails or waits long for it.

A stage fills a `Record`. What is to be written is a `RunRecord` of plain data, sent to MLflow at once or, where that
does not answer, kept in the outbox and sent by the next execution. Only `mlflow_client`, `mlflow_writer`,
`mlflow_reader`, `model_registry` and `pipeline.cleanup.removal` import mlflow, each inside a function: an execution
with nothing to do does without that import of two seconds.
"""

from pipeline.tracking.api import is_published, publish, stage
from pipeline.tracking.run_record import Record

__all__ = ["Record", "is_published", "publish", "stage"]
