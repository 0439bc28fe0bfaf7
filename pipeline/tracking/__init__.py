"""One MLflow row a pipeline execution, one child run a stage; no stage ever fails or waits long for it.

A stage fills a `Record`. What is to be written is a `Row` of plain data, sent to MLflow at once or, where that
does not answer, kept in the spool and sent by the next execution. Only `connection`, `store`, `models`, `registry`,
`reading` and `removal` import mlflow: to write rows, to compare them later, and to remove what is old.
"""

from pipeline.tracking.publication import is_published, publish
from pipeline.tracking.record import Record
from pipeline.tracking.stages import stage

__all__ = ["Record", "is_published", "publish", "stage"]
