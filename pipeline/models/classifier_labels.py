"""Outputs of a classifier: the grades they represent, or the one score."""

from typing import Final, cast

import torch
from transformers import PretrainedConfig, PreTrainedModel

from pipeline.core.config import Params
from pipeline.core.errors import InputError

SINGLE_LABEL: Final = "single_label_classification"
SCORE = "score"  # the one output of a model that ranks
# What checkpoints of two outputs call them.
RELEVANT = {"relevant", "positive", "yes", "true", "1"}
IRRELEVANT = {"irrelevant", "not_relevant", "not relevant", "non-relevant", "negative", "no", "false", "0"}


def output_names(params: Params) -> list[str]:
    """Names of the outputs of the model to make: the grades, or the one score."""
    return [SCORE] if params.is_ranker else params.data.grade_names


def label_names(config: PretrainedConfig) -> list[str]:
    """Names that the checkpoint gives its outputs, in their order: those of label2id where id2label has none."""
    names = [str(label) for _, label in sorted((config.id2label or {}).items())]
    numbers = list(range(len(names)))
    others = sorted((index, str(label)) for label, index in (config.label2id or {}).items())
    is_unnamed = names == [f"LABEL_{number}" for number in numbers]
    return [label for _, label in others] if is_unnamed and [index for index, _ in others] == numbers else names


def name_outputs(config: PretrainedConfig, names: list[str]) -> None:
    """Set the configuration to these outputs in this order: grades to choose from, or one score."""
    config.id2label = dict(enumerate(names))
    config.label2id = {name: index for index, name in enumerate(names)}
    config.problem_type = SINGLE_LABEL if len(names) > 1 else "regression"


def order_outputs(model: PreTrainedModel, order: list[str], grades: list[str]) -> None:
    """Permute the last linear layer's rows, which are in `order`, so that output i is grades[i]."""
    linear = _last_linear(model)
    rows = torch.tensor([order.index(grade) for grade in grades])
    with torch.no_grad():
        linear.weight.copy_(linear.weight[rows])
        linear.bias.copy_(linear.bias[rows])


def score_by_difference(model: PreTrainedModel) -> str:
    """Make two outputs one, that of the relevant class less the other; returns how, in words.

    The outputs' names say which is which, or else the second is the relevant one.
    """
    labels = label_names(model.config)
    first, second = (label.lower() for label in labels)
    relevant = 0 if first in RELEVANT and second in IRRELEVANT else 1
    linear = _last_linear(model)
    for name, parameter in list(linear.named_parameters()):
        difference = parameter.detach()[relevant] - parameter.detach()[1 - relevant]
        setattr(linear, name, torch.nn.Parameter(difference[None]))
    linear.out_features = 1
    return f"output {relevant} ({labels[relevant]}) less output {1 - relevant} ({labels[1 - relevant]})"


def _last_linear(model: PreTrainedModel) -> torch.nn.Linear:
    return cast(torch.nn.Linear, getattr(model.classifier, "out_proj", model.classifier))


def check_score(name: str, config: PretrainedConfig) -> None:
    """Raise InputError unless the checkpoint's outputs are one score, or two whose difference is one."""
    outputs = config.num_labels or 0
    if outputs > 2 or (outputs == 2 and config.problem_type not in (None, SINGLE_LABEL)):
        raise InputError(
            f"model.name {name} has {outputs} outputs ({', '.join(label_names(config))[:200]}), not one score a pair; "
            "set finetune.objective to classes and data.grades to these outputs, name a checkpoint of one "
            "output, or set model.fine_tuned to false to train one"
        )


def check_labels(name: str, config: PretrainedConfig, order: list[str] | None, grades: list[str]) -> None:
    """Raise InputError unless the checkpoint's outputs can be the grades in `order` (None: as in `grades`)."""
    if config.num_labels == 1 or config.problem_type == "regression":
        raise InputError(
            f"model.name {name} has a regression head, one score a pair and no output a grade; set finetune.objective "
            f"to regression, pairwise or listwise, name a classifier of the {len(grades)} grades, or set "
            "model.fine_tuned to false"
        )
    if config.problem_type == "multi_label_classification":
        raise InputError(
            f"model.name {name} has a multi-label head, whose outputs are not a choice between grades; "
            "name a single-label classifier, or set model.fine_tuned to false"
        )
    if config.num_labels != len(grades):
        raise InputError(
            f"model.name {name} has {config.num_labels} labels, data.grades lists {len(grades)} grades ({grades}); "
            "make them match, or set model.fine_tuned to false"
        )
    labels = label_names(config)
    own = {grade.strip().casefold(): grade for grade in grades}
    named = [own.get(label.strip().casefold(), "") for label in labels]
    if order is None and sorted(named) == sorted(grades) and named != grades:
        raise InputError(
            f"model.name {name} names its outputs {labels}, another order than data.grades {grades}; "
            f"set model.label_order to {named}"
        )
