"""Results of a run by its name: the working tree, a git revision, a DVC experiment, an MLflow run."""

import csv
import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from pipeline.core import paths
from pipeline.core.config import flatten_params
from pipeline.core.errors import InputError, describe_refusal
from pipeline.core.heads import Head
from pipeline.core.run_names import METRIC_PREFIXES, run_metrics
from pipeline.tracking import mlflow_reader
from pipeline.tracking.provenance import ownership_advice

if TYPE_CHECKING:
    from pipeline.stats.measure_sets import MeasureSet

MEASURING = tuple(stage for stage in METRIC_PREFIXES if stage != "report")
STAGE_METRICS = {stage: paths.stage_metrics(stage) for stage in MEASURING} | {"report": paths.HEADLINE}
# Everything that a run's results are read from.
RESULT_FILES = (paths.PARAMS, *STAGE_METRICS.values(), paths.HEADS, paths.LABELS, paths.FINDINGS)

VERDICTS = ("needed", "harmful")  # on heads
PRIMARY_MEASURE = "ablation.primary_measure"  # the param that names what decides them
OBJECTIVE, CLASSES = "finetune.objective", "classes"  # the param that tells graders, its only value before rankers
CHANGE, TO_CONSTANT = "change", "to_constant"  # columns of a head's effect, by the headline and the primary measure
ENDS = ("_low", "_high")  # of the columns of an interval
MOST_NAMED = 12  # heads in a line
ANOTHER_VERSION = "is damaged, or of another version of the pipeline"

ReadFile = Callable[[Path], bytes | None]  # a file of the run by its path in the project; None where there is none


def no_file(path: Path) -> bytes | None:
    """`ReadFile` of a run that is in no place."""
    return None


@dataclass(frozen=True)
class RunResults:
    """Results of a run.

    name: as the user named it. params: dotted name -> value as text. metrics: headline metrics of every stage.
    heads: a frame of layer, head, change (relative, of the headline measure: accuracy, or nDCG@10 of a ranker),
        change_low and change_high (ends of its 95% interval),
        to_constant (change of the run's primary measure as a share of the way to the constant model), verdict.
    labels: a frame of layer, head, function, one row a label that a head carries.
    verdicts: id of a finding -> its verdict.
    read_report: reads another file of those that its stage `report` wrote.
    """

    name: str
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    heads: Any
    labels: Any
    verdicts: Mapping[str, str]
    read_report: ReadFile = no_file

    @property
    def measures(self) -> "MeasureSet":
        """Measures of the run's kind of model."""
        return measures_of(self.params)


def measures_of(params: Mapping[str, str]) -> "MeasureSet":
    """Measures of a run's kind of model, from its params."""
    from pipeline.stats.measure_sets import measure_set  # here, as pandas in `_table`

    return measure_set(params.get(OBJECTIVE, CLASSES) != CLASSES)


def check_one_kind(runs: Sequence[RunResults]) -> None:
    """Check that the models are all graders or all rankers. Raises InputError: two runs are of different kinds."""
    for run in runs[1:]:
        if run.measures is not runs[0].measures:
            raise InputError(
                f"{runs[0].name} is of a {runs[0].measures.kind}, {run.name} of a {run.measures.kind}: their heads' "
                f"effects are changes of {runs[0].measures.headline.label} and of {run.measures.headline.label}, which "
                "cannot be compared; compare runs of one kind"
            )


def read_run(name: str, read: ReadFile) -> RunResults:
    """Read the results of the run whose files `read` gives.

    Raises:
        InputError: a file that every finished run has is missing or damaged; the message names run and file.
    """
    # A revision from before a stage was added has none of its metrics, and can be compared all the same.
    written = {stage: path for stage, path in STAGE_METRICS.items() if read(path) is not None}
    try:
        metrics = run_metrics({stage: _parsed(name, read, path) for stage, path in written.items()})
        params = flatten_params(_parsed(name, read, paths.PARAMS))
        return RunResults(
            name,
            params=params,
            metrics={metric: float(value) for metric, value in metrics.items() if value is not None},
            heads=head_effects(name, _bytes(name, read, paths.HEADS), params),
            labels=head_labels(name, _bytes(name, read, paths.LABELS)),
            verdicts={finding["id"]: finding["verdict"] for finding in _parsed(name, read, paths.FINDINGS)},
            read_report=read,
        )
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise InputError(f"a file of {name} {ANOTHER_VERSION}: {type(error).__name__}: {error}") from None


def run_in_folder(name: str, folder: Path) -> RunResults:
    """Results in a project's working tree, or in a folder that mirrors its RESULT_FILES."""
    return read_run(name, _files_below(folder))


def _files_below(folder: Path) -> ReadFile:
    def read(path: Path) -> bytes | None:
        file = folder / path
        try:
            return file.read_bytes() if file.is_file() else None
        except OSError as error:  # one of reading has no name in it
            raise InputError(f"{file} cannot be read: {describe_refusal(error)}") from None

    return read


def summary_lines(folder: Path = Path()) -> list[str]:
    """Summary of the results in a project's working tree, in lines; none where a file of a finished run is missing.

    Reads without pandas, so that a `dvc repro` that has nothing to do ends with them at once.
    """
    name, read = "this run", _files_below(folder)
    try:
        headline = _parsed(name, read, paths.HEADLINE)
        heads = list(csv.DictReader(_bytes(name, read, paths.HEADS).decode("utf-8").splitlines()))
        verdicts = {"agrees": "agree", "cannot_tell": "cannot tell", "differs": "differ"}
        verdicts |= {"not_judged": "not judged"} if headline.get("not_judged") else {}
        needed, harmful = ([Head.of_row(row).short for row in heads if row["verdict"] == kind] for kind in VERDICTS)
        return [
            _quality(headline),
            f"needed heads   {headline['needed_heads']} of {headline['heads']}{_named(needed)}",
            f"harmful heads  {headline['harmful_heads']}{_named(harmful)}",
            f"findings       {', '.join(f'{headline[key]} {verb}' for key, verb in verdicts.items())}",
            f"report         {headline['report']}",
            "compare runs   make ui",
        ]
    except (InputError, LookupError, TypeError, ValueError):
        return []


def _quality(headline: Mapping[str, Any]) -> str:
    """How good the model is, and what it is compared with."""
    if "test_accuracy" in headline:
        values = [f"{headline['test_accuracy']:.1%}", *_peer("BiLSTM", headline["bilstm_test_accuracy"], ".1%")]
        return f"test accuracy  {', '.join(values)}"
    peers = {"BiLSTM": headline["bilstm_test_ndcg_at_10"], "BM25": headline["bm25_test_ndcg_at_10"]}
    others = [shown for name, value in peers.items() for shown in _peer(name, value, ".3f")]
    own = f"{headline['test_ndcg_at_10']:.3f}"
    return f"test nDCG@10   {', '.join([own, *others])}"


def _peer(name: str, value: float | None, form: str) -> list[str]:
    """Nothing of what was not trained."""
    return [] if value is None else [f"{name} {value:{form}}"]


def _named(heads: Sequence[str]) -> str:
    more = f" and {len(heads) - MOST_NAMED} more" if len(heads) > MOST_NAMED else ""
    return f": {', '.join(heads[:MOST_NAMED])}{more} (layer.head, from 0)" if heads else ""


def head_effects(name: str, content: bytes, params: Mapping[str, str]) -> Any:
    """Effects of heads from heads.csv of the run `name` with these params, as `RunResults.heads`."""
    measures = measures_of(params)
    change, shares = measures.headline.change, measures.primary(params[PRIMARY_MEASURE]).to_constant
    renamed = {f"{change}{end}": f"{CHANGE}{end}" for end in ("", *ENDS)} | {shares: TO_CONSTANT}
    return _table(name, paths.HEADS, content, ["layer", "head", *renamed, "verdict"]).rename(columns=renamed)


def head_labels(name: str, content: bytes) -> Any:
    """labels.csv of the run `name` -> a frame of layer, head, function of the labels that heads carry."""
    frame = _table(name, paths.LABELS, content, ["layer", "head", "function", "is_labelled"])
    return frame[frame["is_labelled"]][["layer", "head", "function"]].reset_index(drop=True)


def _table(name: str, path: Path, content: bytes, columns: list[str]) -> Any:
    import pandas as pd  # here, since publish reads headlines without it

    try:
        return pd.read_csv(io.BytesIO(content), usecols=columns, keep_default_na=False, na_values=[""])[columns]
    except ValueError as error:
        raise InputError(f"{path} of {name} {ANOTHER_VERSION}: {error}") from None


def _bytes(name: str, read: ReadFile, path: Path) -> bytes:
    content = read(path)
    if content is None:
        raise InputError(f"{name} has no {path}; name a run in which every stage finished")
    return content


def _parsed(name: str, read: ReadFile, path: Path) -> Any:
    content = _bytes(name, read, path)
    try:
        return json.loads(content) if path.suffix == ".json" else yaml.safe_load(content)
    except (ValueError, yaml.YAMLError) as error:
        raise InputError(f"{path} of {name} is damaged: {error}") from None


def run_at_revision(name: str) -> RunResults | None:
    """Results at a git revision or of a DVC experiment; None where it names neither.

    Raises:
        InputError: the revision lacks a file of a finished run.
    """
    read = revision_files(name)
    return read_run(name, read) if read else None


def revision_files(name: str) -> ReadFile | None:
    """Reader of the project's files at a git revision or of a DVC experiment; None where it names neither."""
    found = _commit(name)
    return _revision_files(*found) if found else None


def _commit(name: str) -> tuple[str, Path] | None:
    """The hash behind a name, as DVC's own commands find it, and the project's folder in the git repository.

    None outside of git and DVC too.
    """
    from dvc.exceptions import DvcException, NotDvcRepoError
    from dvc.repo import Repo
    from dvc.scm import SCMError, resolve_rev
    from pygit2 import GitError

    try:
        with Repo() as repo:
            commit = resolve_rev(repo.scm, name)
            return commit, Path(repo.root_dir).resolve().relative_to(Path(repo.scm.root_dir).resolve())
    except (SCMError, NotDvcRepoError):
        return None
    except GitError as error:
        advice = ownership_advice() or "where it is another user's: git config --global --add safe.directory PATH"
        raise InputError(f"git's revisions cannot be read ({error}); {advice}") from None
    except DvcException as error:
        raise InputError(f"dvc cannot read this project: {error}; fix what it names") from None


def _revision_files(commit: str, project: Path) -> ReadFile:
    from dvc.api import DVCFileSystem
    from dvc.exceptions import DvcException

    # Of a revision it shows the whole git repository, in which a project below the root is a repository of its own.
    files = DVCFileSystem(rev=commit, subrepos=project != Path())

    def read(path: Path) -> bytes | None:
        try:
            return files.read_bytes((project / path).as_posix())
        except FileNotFoundError:
            return None
        except DvcException as error:
            raise InputError(f"{path} of commit {commit} cannot be read: {error}") from None

    return read


RUN_ID = re.compile(r"[0-9a-f]{6,32}")  # or its beginning
STAGE_TABLES = {"head_ablation": paths.HEADS, "attention": paths.LABELS}
FINDING_TAG = "finding."


def run_in_mlflow(name: str) -> RunResults | None:
    """Results of the MLflow parent run with this id or unique beginning of one; None where there is none.

    Raises:
        InputError: the run lacks what a finished run has, several begin so, or MLflow does not answer.
    """
    run = mlflow_reader.find_run_by_id(name) if RUN_ID.fullmatch(name) else None
    if run is None:
        return None
    verdicts = {tag.removeprefix(FINDING_TAG): value for tag, value in run.tags.items() if tag.startswith(FINDING_TAG)}
    heads, labels = (_stage_artifact(run, stage, path) for stage, path in STAGE_TABLES.items())
    primary = run.params.get(PRIMARY_MEASURE)
    parts = {"metrics": run.metrics, "verdicts on the findings": verdicts, paths.HEADS: heads, paths.LABELS: labels}
    missing = [str(part) for part, content in (parts | {f"param {PRIMARY_MEASURE}": primary}).items() if not content]
    if heads is None or labels is None or primary is None or missing:
        raise InputError(
            f"MLflow run {name} ({run.status}) has no {', no '.join(missing)}; name a run in which every stage finished"
        )
    effects = head_effects(name, heads, run.params)
    read_report = partial(_stage_artifact, run, "report")
    return RunResults(name, run.params, run.metrics, effects, head_labels(name, labels), verdicts, read_report)


def _stage_artifact(run: mlflow_reader.TrackedRun, stage: str, path: Path) -> bytes | None:
    run_id = run.tags.get(f"stage.{stage}.run_id")
    return mlflow_reader.read_artifact(run_id, path.relative_to("reports")) if run_id else None


WORKSPACE = "workspace"


def find_run(name: str) -> RunResults:
    """Find a run by its name: `workspace`, a git revision, a DVC experiment or an MLflow run, tried in this order.

    Raises:
        InputError: there is no such run, or it lacks what a finished run has.
    """
    if name == WORKSPACE:
        return run_in_folder(name, Path())
    for find in (run_at_revision, run_in_mlflow):
        if name and (found := find(name)):
            return found
    raise InputError(
        f"{name!r} names no run: neither '{WORKSPACE}' nor a git revision (git log --oneline), a DVC experiment "
        "(dvc exp list --all-commits) or the id of an MLflow run or its first six digits or more (make ui)"
    )
