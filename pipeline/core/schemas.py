"""What stages read of each other's: every file with the columns that are needed of it, checked when it is read."""

from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar, cast

import pandas as pd

from pipeline.core import formats, paths
from pipeline.core.errors import InputError

Kind = TypeVar("Kind")

CHANGE = "relative_accuracy_change"
PAIRS = {"query_id": "int64", "query": "str", "title": "str", "grade": "int64"}
PREDICTIONS = {"query_id": "int64", "grade": "int64", "predicted": "int64"}


def _kinds(integers: str = "", figures: str = "", estimates: str = "", texts: str = "", flags: str = ""):
    """Column -> kind; an estimate has an interval's ends beside it."""
    ends = [f"{name}{end}" for name in estimates.split() for end in ("", "_low", "_high")]
    named = {"int64": integers.split(), "float64": figures.split() + ends, "str": texts.split(), "bool": flags.split()}
    return {name: kind for kind, names in named.items() for name in names}


TABLES: dict[Path, dict[str, str]] = {
    paths.HEADS: _kinds(
        integers="layer head right_to_wrong wrong_to_right",
        figures="margin_change qwk_change mae_change log_loss_change q detectable zero_change mean_change "
        "resample_change gradient_importance",
        estimates=CHANGE,
        texts="verdict",
        flags="only_zero",
    ),
    paths.ALONE: _kinds(integers="layer head", estimates=CHANGE),
    paths.GROUPS: _kinds(
        integers="draw heads_masked", figures="accuracy", estimates=CHANGE, texts="experiment group members"
    ),
    paths.CONTROLS: _kinds(
        integers="draws", figures="median lowest highest percentile p", texts="group control", flags="exhaustive"
    ),
    paths.CONTRASTS: _kinds(integers="draws", figures=f"{CHANGE} low high", texts="name"),
    paths.SLICES: _kinds(integers="pairs", estimates=CHANGE, texts="group slice value"),
    paths.LABELS: _kinds(integers="layer head", figures="score control low high", texts="function", flags="label"),
    paths.MEAN_MOVES: _kinds(figures="before after change low high", texts="function"),
    paths.PLACES: _kinds(integers="layer head", figures="x y share_x share_y", texts="label"),
    paths.PROFILES: _kinds(integers="layer head", figures="score chance", texts="function phase"),
    paths.EDGES: _kinds(
        integers="source_layer source_head target_layer target_head", figures="js match_share_change q"
    ),
    paths.READERS: _kinds(integers="layer head", flags="reader"),
    paths.CURVE: _kinds(integers="epoch", figures="train_loss"),
}
# What readers.csv has where the model has readers that could depend on something.
JUDGED_READERS = _kinds(
    integers="control_draws",
    figures="share chance difference_low difference_high control_median p",
    estimates="share_change total indirect direct mediated",
)


def table(path: Path) -> pd.DataFrame:
    """One of TABLES. Raises InputError as `files.read_csv`."""
    return formats.read_csv(path, TABLES[path])


def readers() -> pd.DataFrame:
    """readers.csv. Raises InputError as `files.read_csv`."""
    frame = table(paths.READERS)
    return frame if frame.empty else formats.read_csv(paths.READERS, TABLES[paths.READERS] | JUDGED_READERS)


def pairs(path: Path) -> pd.DataFrame:
    """A prepared split: query_id, query, title, grade (0 worst) and what else it has.

    Raises:
        InputError: as `files.read_parquet`.
    """
    return formats.read_parquet(path, PAIRS)


def predictions(path: Path) -> pd.DataFrame:
    """query_id, grade, predicted and logits by pair. Raises InputError as `files.read_parquet`."""
    return formats.read_parquet(path, PREDICTIONS)


def arrays(path: Path, kind: type[Kind]) -> Kind:
    """A dataclass of arrays as written by its fields' names. Raises InputError as `files.read_safetensors`."""
    names = [field.name for field in fields(cast(Any, kind))]
    found = formats.read_safetensors(path, names)
    return kind(**{name: found[name] for name in names})


def described(path: Path, keys: tuple[str, ...]) -> list[dict]:
    """A list of records with these keys.

    Raises:
        InputError: as `files.read_json`; another content.
    """
    records = formats.read_json(path)
    if not isinstance(records, list) or any(not isinstance(one, dict) or set(keys) - set(one) for one in records):
        raise InputError(f"{path} holds no list of records with {', '.join(keys)}; {formats.RERUN_ADVICE}")
    return records


def metrics(path: Path, keys: tuple[str, ...] = ()) -> dict:
    """A stage's metrics.json with these keys.

    Raises:
        InputError: as `files.read_json`; another content.
    """
    found = formats.read_json(path)
    if not isinstance(found, dict) or set(keys) - set(found):
        raise InputError(f"{path} holds no metrics {', '.join(keys)}; {formats.RERUN_ADVICE}")
    return found
