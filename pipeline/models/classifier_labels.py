"""Outputs of a classifier and the grades they represent."""

from typing import cast

import torch
from transformers import PretrainedConfig, PreTrainedModel

from pipeline.core.errors import InputError


def name_outputs(config: PretrainedConfig, grades: list[str]) -> None:
    """Set the configuration to one output per grade, in this order, for single-label classification."""
    config.id2label = dict(enumerate(grades))
    config.label2id = {grade: index for index, grade in enumerate(grades)}
    config.problem_type = "single_label_classification"


def order_outputs(model: PreTrainedModel, order: list[str], grades: list[str]) -> None:
    """Permute the last linear layer's rows, which are in `order`, so that output i is grades[i]."""
    linear = cast(torch.nn.Linear, getattr(model.classifier, "out_proj", model.classifier))
    rows = torch.tensor([order.index(grade) for grade in grades])
    with torch.no_grad():
        linear.weight.copy_(linear.weight[rows])
        linear.bias.copy_(linear.bias[rows])


def check_labels(name: str, config: PretrainedConfig, order: list[str] | None, grades: list[str]) -> None:
    """Raise InputError unless the checkpoint's outputs can be the grades in `order` (None: as in `grades`)."""
    if config.num_labels == 1 or config.problem_type == "regression":
        raise InputError(
            f"model.name {name} has a regression head, one output for all grades; "
            f"name a classifier of the {len(grades)} grades, or set model.pretrained_from to null"
        )
    if config.problem_type == "multi_label_classification":
        raise InputError(
            f"model.name {name} has a multi-label head, whose outputs are not a choice between grades; "
            "name a single-label classifier, or set model.pretrained_from to null"
        )
    if config.num_labels != len(grades):
        raise InputError(
            f"model.name {name} has {config.num_labels} labels, data.grades lists {len(grades)} grades ({grades}); "
            "make them match, or set model.pretrained_from to null"
        )
    labels = [str(label) for _, label in sorted((config.id2label or {}).items())]
    if order is None and sorted(labels) == sorted(grades) and labels != grades:
        raise InputError(
            f"model.name {name} names its outputs {labels}, another order than data.grades {grades}; "
            f"set model.label_order to {labels}"
        )
