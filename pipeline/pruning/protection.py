"""Units that the user protects: heads by name, by label, by layer."""

import pandas as pd

from pipeline.attention.head_labels import labelled_heads
from pipeline.core.config import Protect
from pipeline.core.errors import InputError
from pipeline.pruning.units import HEAD, PrunableUnits, Unit


def protected_units(protect: Protect, labels: pd.DataFrame, units: PrunableUnits) -> dict[Unit, str]:
    """Protected units with the reason of each; a protected layer keeps its neurons too.

    Args:
        labels: `tables.attention.LABELS`.

    Raises:
        InputError: a head or layer that the model does not have, or a function that heads are not labelled with.
    """
    reasons: dict[Unit, str] = {}
    for layer in protect.layers:
        _check("layers", layer, layer < units.layers, f"layers are 0 to {units.layers - 1}")
        reasons |= {unit: f"layer {layer} is protected" for unit in units.every() if unit.layer == layer}
    functions = sorted(set(labels["function"]))
    for function in protect.labels:
        _check("labels", function, function in functions, f"heads are labelled with {', '.join(functions)}")
        heads = labelled_heads(labels, function)
        reasons |= {Unit(HEAD, *head): f"heads labelled {function} are protected" for head in heads}
    for layer, head in protect.heads:
        known = layer < units.layers and head < units.heads
        _check("heads", [layer, head], known, f"heads are [layer, head] up to {[units.layers - 1, units.heads - 1]}")
        reasons[Unit(HEAD, layer, head)] = "it is protected"
    return reasons


def _check(key: str, value: object, is_known: bool, fix: str) -> None:
    if not is_known:
        raise InputError(f"params.yaml: pruning.protect.{key} holds {value!r}, which this model does not have; {fix}")
