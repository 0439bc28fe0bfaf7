"""What one run of the pipeline came to, as far as runs are compared: read from a few small files of its own."""

import io
import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pipeline import paths
from pipeline.errors import InputError

METRICS = {
    "prepare": paths.PREPARE_METRICS,
    "finetune": paths.FINETUNE_METRICS,
    "baseline": paths.BASELINE_METRICS,
    "attention": paths.ATTENTION_METRICS,
    "head_ablation": paths.HEAD_METRICS,
    "dependency": paths.DEPENDENCY_METRICS,
    "group_ablation": paths.GROUP_METRICS,
}
# Everything an outcome is read from.
FILES = (paths.PARAMS, *METRICS.values(), paths.HEADS, paths.LABELS, paths.FINDINGS)

Numbers = dict[str, float | int | None]
Reader = Callable[[Path], bytes | None]  # a file of the run by its path in the project; None where there is none


@dataclass(frozen=True)
class Outcome:
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


def read_outcome(name: str, read: Reader) -> Outcome:
    """The outcome of the run whose files `read` gives.

    Raises:
        InputError: a file that every finished run has is missing or damaged; the message names run and file.
    """
    try:
        return _outcome(name, read)
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise InputError(
            f"a file of {name} is damaged, or of another version of the pipeline: {type(error).__name__}: {error}"
        ) from None


def _outcome(name: str, read: Reader) -> Outcome:
    # A revision from before a stage was added has none of its metrics, and can be compared all the same.
    metrics = headline({stage: _json(name, read, path) for stage, path in METRICS.items() if read(path) is not None})
    return Outcome(
        name,
        params=dotted(_yaml(name, read, paths.PARAMS)),
        metrics={metric: float(value) for metric, value in metrics.items() if value is not None},
        heads=head_effects(name, _bytes(name, read, paths.HEADS)),
        labels=head_labels(name, _bytes(name, read, paths.LABELS)),
        verdicts={finding["id"]: finding["verdict"] for finding in _json(name, read, paths.FINDINGS)},
    )


def from_folder(name: str, folder: Path) -> Outcome:
    """The outcome of a project's working tree, or of a folder that mirrors its FILES."""

    def read(path: Path) -> bytes | None:
        return (folder / path).read_bytes() if (folder / path).is_file() else None

    return read_outcome(name, read)


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


def _bytes(name: str, read: Reader, path: Path) -> bytes:
    content = read(path)
    if content is None:
        raise InputError(f"{name} has no {path}; name a run in which every stage finished")
    return content


def _json(name: str, read: Reader, path: Path) -> Any:
    try:
        return json.loads(_bytes(name, read, path))
    except ValueError as error:
        raise InputError(f"{path} of {name} is damaged: {error}") from None


def _yaml(name: str, read: Reader, path: Path) -> Any:
    try:
        return yaml.safe_load(_bytes(name, read, path))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path} of {name} is damaged: {error}") from None
