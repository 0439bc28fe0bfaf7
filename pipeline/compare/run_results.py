"""What a run came to, and finding it by name: the working tree, a git revision, a DVC experiment, an MLflow run."""

import io
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pipeline.core import paths
from pipeline.core.errors import InputError
from pipeline.tracking import mlflow_reader

STAGE_METRICS = {
    "prepare": paths.PREPARE_METRICS,
    "finetune": paths.FINETUNE_METRICS,
    "baseline": paths.BASELINE_METRICS,
    "attention": paths.ATTENTION_METRICS,
    "head_ablation": paths.HEAD_METRICS,
    "dependency": paths.DEPENDENCY_METRICS,
    "group_ablation": paths.GROUP_METRICS,
}
# Everything an outcome is read from.
RESULT_FILES = (paths.PARAMS, *STAGE_METRICS.values(), paths.HEADS, paths.LABELS, paths.FINDINGS)

Numbers = dict[str, float | int | None]
ReadFile = Callable[[Path], bytes | None]  # a file of the run by its path in the project; None where there is none


@dataclass(frozen=True)
class RunResults:
    """One run.

    name: as the user named it. params: dotted name -> value as text. metrics: headline metrics of every stage.
    heads: a frame of layer, head, relative_accuracy_change (share of the unmasked accuracy), verdict.
    labels: a frame of layer, head, function, one row a label that a head carries.
    verdicts: id of a finding -> its verdict.
    """

    name: str
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    heads: Any
    labels: Any
    verdicts: Mapping[str, str]


def read_run(name: str, read: ReadFile) -> RunResults:
    """The outcome of the run whose files `read` gives.

    Raises:
        InputError: a file that every finished run has is missing or damaged; the message names run and file.
    """
    try:
        return _results(name, read)
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise InputError(
            f"a file of {name} is damaged, or of another version of the pipeline: {type(error).__name__}: {error}"
        ) from None


def _results(name: str, read: ReadFile) -> RunResults:
    # A revision from before a stage was added has none of its metrics, and can be compared all the same.
    metrics = headline(
        {stage: _json(name, read, path) for stage, path in STAGE_METRICS.items() if read(path) is not None}
    )
    return RunResults(
        name,
        params=dotted(_yaml(name, read, paths.PARAMS)),
        metrics={metric: float(value) for metric, value in metrics.items() if value is not None},
        heads=head_effects(name, _bytes(name, read, paths.HEADS)),
        labels=head_labels(name, _bytes(name, read, paths.LABELS)),
        verdicts={finding["id"]: finding["verdict"] for finding in _json(name, read, paths.FINDINGS)},
    )


def run_in_folder(name: str, folder: Path) -> RunResults:
    """The outcome of a project's working tree, or of a folder that mirrors its FILES."""

    def read(path: Path) -> bytes | None:
        return (folder / path).read_bytes() if (folder / path).is_file() else None

    return read_run(name, read)


def headline(stages: Mapping[str, Mapping[str, Any]]) -> Numbers:
    """Every stage's numbers under their plain names; `<stage>.<name>` where two stages use the same name."""
    found = {stage: _numbers(values) for stage, values in stages.items()}
    uses = Counter(name for metrics in found.values() for name in metrics)
    return {
        name if uses[name] == 1 else f"{stage}.{name}": value
        for stage, metrics in found.items()
        for name, value in metrics.items()
    }


def dotted(section: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Params under dotted names; a value that is no text is written as JSON."""
    flat: dict[str, str] = {}
    for name, value in section.items():
        if isinstance(value, Mapping) and value:
            flat |= dotted(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return flat


def head_effects(name: str, content: bytes) -> Any:
    """heads.csv of the run `name` -> a frame of layer, head, relative_accuracy_change, verdict."""
    return _table(name, paths.HEADS, content, ["layer", "head", "relative_accuracy_change", "verdict"])


def head_labels(name: str, content: bytes) -> Any:
    """labels.csv of the run `name` -> a frame of layer, head, function of the labels that heads carry."""
    frame = _table(name, paths.LABELS, content, ["layer", "head", "function", "label"])
    return frame[frame["label"]][["layer", "head", "function"]].reset_index(drop=True)


def _table(name: str, path: Path, content: bytes, columns: list[str]) -> Any:
    import pandas as pd  # here, since publish reads headlines without it

    try:
        return pd.read_csv(io.BytesIO(content), usecols=columns, keep_default_na=False, na_values=[""])[columns]
    except ValueError as error:
        raise InputError(f"{path} of {name} is damaged, or of another version of the pipeline: {error}") from None


def _numbers(values: Mapping[str, Any]) -> Numbers:
    return {name: value for name, value in values.items() if isinstance(value, int | float) or value is None}


def _bytes(name: str, read: ReadFile, path: Path) -> bytes:
    content = read(path)
    if content is None:
        raise InputError(f"{name} has no {path}; name a run in which every stage finished")
    return content


def _json(name: str, read: ReadFile, path: Path) -> Any:
    try:
        return json.loads(_bytes(name, read, path))
    except ValueError as error:
        raise InputError(f"{path} of {name} is damaged: {error}") from None


def _yaml(name: str, read: ReadFile, path: Path) -> Any:
    try:
        return yaml.safe_load(_bytes(name, read, path))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path} of {name} is damaged: {error}") from None


def run_at_revision(name: str) -> RunResults | None:
    """The run at a git revision or of a DVC experiment; None where it names neither.

    Raises:
        InputError: the revision lacks a file of a finished run.
    """
    commit = _commit(name)
    return read_run(name, _revision_files(commit)) if commit else None


def _commit(name: str) -> str | None:
    """The hash behind a name, as DVC's own commands find it; None outside of git and DVC too."""
    from dvc.exceptions import DvcException, NotDvcRepoError
    from dvc.repo import Repo
    from dvc.scm import SCMError, resolve_rev

    try:
        with Repo() as repo:
            return resolve_rev(repo.scm, name)
    except (SCMError, NotDvcRepoError):
        return None
    except DvcException as error:
        raise InputError(f"dvc cannot read this project: {error}; mend what it names") from None


def _revision_files(commit: str) -> ReadFile:
    from dvc.api import DVCFileSystem
    from dvc.exceptions import DvcException

    files = DVCFileSystem(rev=commit)

    def read(path: Path) -> bytes | None:
        try:
            return files.read_bytes(path.as_posix())
        except FileNotFoundError:
            return None
        except DvcException as error:
            raise InputError(f"{path} of commit {commit} cannot be read: {error}") from None

    return read


RUN_ID = re.compile(r"[0-9a-f]{6,32}")  # or its beginning
STAGE_TABLES = {"head_ablation": paths.HEADS, "attention": paths.LABELS}
FINDING_TAG = "finding."
GROUPS_PARAM = "group_ablation.groups"


def run_in_mlflow(name: str) -> RunResults | None:
    """The pipeline's row of this id, or whose id alone begins so; None where it is no id or there is no such row.

    Raises:
        InputError: the row lacks what a finished run has, several begin so, or MLflow does not answer.
    """
    row = mlflow_reader.find_run_by_id(name) if RUN_ID.fullmatch(name) else None
    if row is None:
        return None
    verdicts = {
        tag.removeprefix(FINDING_TAG): verdict for tag, verdict in row.tags.items() if tag.startswith(FINDING_TAG)
    }
    tables = {
        path: content for stage, path in STAGE_TABLES.items() if (content := _stage_table(row, stage, path)) is not None
    }
    parts = {"metrics": row.metrics, "verdicts on the findings": verdicts}
    missing = [part for part, values in parts.items() if not values]
    missing += [str(path) for path in STAGE_TABLES.values() if path not in tables]
    if missing:
        raise InputError(
            f"MLflow run {name} ({row.status}) has no {', no '.join(missing)}; name a run in which every stage finished"
        )
    return RunResults(
        name,
        params_from_mlflow(row.params),
        row.metrics,
        head_effects(name, tables[paths.HEADS]),
        head_labels(name, tables[paths.LABELS]),
        verdicts,
    )


def params_from_mlflow(flat: Mapping[str, str]) -> dict[str, str]:
    """Params as an outcome has them: the user's own groups, one JSON text in MLflow, under a dotted name each."""
    try:
        groups = json.loads(flat.get(GROUPS_PARAM, "{}"))
    except ValueError:  # cut to MLflow's greatest length
        groups = {}
    if not groups:
        return dict(flat)
    return {name: value for name, value in flat.items() if name != GROUPS_PARAM} | dotted(groups, f"{GROUPS_PARAM}.")


def _stage_table(row: mlflow_reader.TrackedRun, stage: str, path: Path) -> bytes | None:
    run_id = row.tags.get(f"stage.{stage}.run_id")
    return mlflow_reader.read_artifact(run_id, path.relative_to("reports")) if run_id else None


WORKSPACE = "workspace"


def find_run(name: str) -> RunResults:
    """The run of this name: `workspace`, a git revision, a DVC experiment or an MLflow run, tried in this order.

    Raises:
        InputError: there is no such run, or it lacks what a finished run has.
    """
    if name == WORKSPACE:
        return run_in_folder(name, Path())
    for find in (run_at_revision, run_in_mlflow):
        if name and (found := find(name)):
            return found
    raise InputError(
        f"{name!r} is no run: neither '{WORKSPACE}' nor a git revision (git log --oneline), a DVC experiment "
        "(dvc exp list --all-commits) or the id of an MLflow run or its first six digits or more (make ui)"
    )
