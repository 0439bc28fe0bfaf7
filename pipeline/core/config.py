"""params.yaml as typed, checked values: read once, unknown keys refused, every error names key, value and fix."""

import json
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from pipeline.core import paths
from pipeline.core.errors import InputError, quote_value

Share = Annotated[float, Field(gt=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
TABLE_ENDINGS = (".csv", ".tsv", ".jsonl", ".parquet")
GENERATED = "generated"  # the corpus that comes with the project
NUMBERS = "numbers"  # grades that are numbers, not named classes
EMBEDDED, SCRATCH = "embedded", "scratch"  # models that come with the project
GROUPS = "group_ablation.groups"  # the one key whose own keys the user chooses


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Run(Section):
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    device: Literal["auto", "cpu", "cuda"]
    experiment: Annotated[str, Field(min_length=1, max_length=500)]
    bootstrap_resamples: Annotated[int, Field(ge=100)]


class Columns(Section):
    query: str
    title: str
    grade: str
    split: str | None


class Generated(Section):
    language: Literal["en", "zh"]
    train_pairs: Count
    dev_pairs: Count
    test_pairs: Count
    titles_per_query: Annotated[int, Field(ge=3, le=100)]
    label_noise: Annotated[float, Field(ge=0, lt=0.5)]


class Data(Section):
    source: str
    columns: Columns
    slices: list[str]
    grades: list[str] | Literal["numbers"]
    dev_share: Share
    test_share: Share
    unlabelled: str | None
    generated: Generated

    @property
    def is_beir_source(self) -> bool:
        """Whether the pairs come from a BEIR folder, not a table or the generator."""
        return self.source != GENERATED and is_beir_folder(self.source)

    @property
    def source_name(self) -> str:
        """The source as people read it: "generated en", or the table's or folder's path."""
        return f"{GENERATED} {self.generated.language}" if self.source == GENERATED else self.source

    @property
    def slice_columns(self) -> list[str]:
        """Columns of the prepared table that effects are sliced by, besides what every table has."""
        return ["phenomenon", "vocabulary"] if self.source == GENERATED else self.slices

    @field_validator("grades", mode="before")
    @classmethod
    def _check_grades(cls, grades: Any) -> Any:
        if grades == NUMBERS or (
            isinstance(grades, list) and len(grades) > 1 and all(isinstance(g, str) for g in grades)
        ):
            return grades
        raise ValueError(f"{quote_value(grades)} is neither {NUMBERS} nor a list of two names or more, in quotes")

    @property
    def grade_names(self) -> list[str]:
        """Names of the grades from worst to best; none where grades are numbers."""
        return [] if self.grades == NUMBERS else list(self.grades)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(set(self.grade_names)) < len(self.grade_names):
            raise ValueError(f"grades {self.grades} holds a grade twice; list each once, from worst to best")
        if self.dev_share + self.test_share >= 1:
            raise ValueError(
                f"dev_share {self.dev_share} + test_share {self.test_share} leave nothing to train on; "
                "their sum must be below 1"
            )
        if self.source != GENERATED:
            _check_table("source", self.source, "'generated'")
        elif len(self.grade_names) != 5:
            raise ValueError(f"grades {self.grades}: the generated corpus has five grades; list five")
        if self.is_beir_source and self.slices:
            raise ValueError(f"slices {self.slices}: a BEIR folder has no columns to slice by; write []")
        if self.unlabelled is not None:
            _check_table("unlabelled", self.unlabelled, "null")
        return self


def _check_table(key: str, name: str, other: str) -> None:
    """Check the name of a user's table. `other`: what the key may be instead."""
    path = Path(name)
    if path.suffix not in ("", *TABLE_ENDINGS) or ".." in path.parts or paths.RAW not in path.parents:
        raise ValueError(
            f"{key} {name!r} is neither {other} nor a {', '.join(TABLE_ENDINGS)} file or a BEIR folder "
            f"(its name without a dot) below {paths.RAW}/ (written as {paths.RAW}/NAME)"
        )


def is_beir_folder(name: str) -> bool:
    """Whether a user's source is a BEIR folder, whose name has no ending, and not a table."""
    return not Path(name).suffix


class Scratch(Section):
    layers: Count
    heads: Count
    hidden: Count
    vocabulary: Annotated[int, Field(ge=100)]

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.hidden % self.heads:
            raise ValueError(f"hidden {self.hidden} is not a multiple of heads {self.heads}")
        return self


class Model(Section):
    name: Annotated[str, Field(min_length=1)]
    fine_tuned: bool
    pretrained_from: Annotated[str, Field(min_length=1)] | None
    label_order: list[str] | None
    max_length: Annotated[int, Field(ge=8)]
    scratch: Scratch

    @property
    def has_before(self) -> bool:
        """Whether there is a model before fine-tuning to compare with."""
        return not self.fine_tuned or self.pretrained_from is not None

    @property
    def is_local(self) -> bool:
        """Whether the model, and the one it was fine-tuned from, load without the model hub."""
        names = [name for name in (self.name, self.pretrained_from) if name is not None]
        return all(name in (EMBEDDED, SCRATCH) or is_folder(name) for name in names)


def is_folder(name: str) -> bool:
    """Whether a model's name is written as a folder below data/checkpoints/."""
    path = Path(name)
    return paths.CHECKPOINTS in path.parents and ".." not in path.parts


class Training(Section):
    max_epochs: Count
    patience: Count


class Finetune(Section):
    objective: Literal["classes", "regression", "pairwise", "listwise"]
    learning_rate: Annotated[float, Field(gt=0, lt=1)]
    batch_size: Count
    warmup_share: Annotated[float, Field(ge=0, lt=1)]
    weight_decay: Annotated[float, Field(ge=0)]
    dropout: Annotated[float, Field(ge=0, lt=1)]


class BiLSTM(Section):
    learning_rate: Annotated[float, Field(gt=0, lt=1)]
    batch_size: Count
    embedding: Count
    hidden: Count
    dropout: Annotated[float, Field(ge=0, lt=1)]


class Attention(Section):
    max_pairs: Count
    batch_tokens: Annotated[int, Field(ge=64)]
    example_pairs: Annotated[int, Field(ge=0)]
    label_threshold: Share
    broad_entropy: Share
    drift_null: bool


class Ablation(Section):
    batch_tokens: Annotated[int, Field(ge=64)] | Literal["auto"]
    precision: Literal["float32", "tf32", "bfloat16"]
    primary_measure: Literal[
        "default",
        "accuracy",
        "log_loss",
        "logit_margin",
        "qwk",
        "pairwise_log_loss",
        "pairwise_accuracy",
        "ndcg_at_10",
        "mrr_at_10",
        "score_margin",
    ]
    equivalence_margin: Share
    threads: Count
    unit_interventions: Count


class HeadAblation(Section):
    max_pairs: Count
    mean_resample_pairs: Count


class GroupAblation(Section):
    max_pairs: Count
    k: Count
    random_shares: list[Share]
    random_groups_per_share: Count
    random_groups_per_safe_share: Count
    random_control_groups: Count
    max_top_k: Count
    groups: dict[str, list[Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=2, max_length=2)]]]


class Protect(Section):
    heads: list[Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=2, max_length=2)]]
    labels: list[str]
    layers: list[Annotated[int, Field(ge=0)]]


class Pruning(Section):
    measure: str
    non_inferiority_margin: Annotated[float, Field(gt=0)]
    slices_margin: Annotated[float, Field(gt=0)]
    budget: Share | None
    neurons_per_head: Annotated[float, Field(ge=0)]
    search_pairs: Count
    seeds: Count
    recovery_epochs: Annotated[int, Field(ge=0)]
    recovery_learning_rate: Annotated[float, Field(gt=0, lt=1)]
    recovery_targets: Literal["grades", "predictions"]
    protect: Protect


class Report(Section):
    example_heads: Annotated[int, Field(ge=0)]
    explorer_pairs: Annotated[int, Field(ge=0)]
    explorer_mib: Annotated[float, Field(gt=0)]


class Limits(Section):
    accuracy_drop: Annotated[float, Field(ge=0, le=1)]
    ndcg_drop: Annotated[float, Field(ge=0, le=1)]
    needed_heads: Annotated[int, Field(ge=0)]
    findings: Annotated[int, Field(ge=0)]


class Compute(Section):
    workers: Count
    backend: Literal["local", "ray"]
    address: Annotated[str, Field(min_length=1)] | None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.address is not None and self.backend != "ray":
            raise ValueError(
                f"address {self.address!r} is a Ray cluster's, but backend is {self.backend!r}; set "
                "backend to ray, or address to null"
            )
        return self


class Params(Section):
    run: Run
    data: Data
    model: Model
    training: Training
    finetune: Finetune
    bilstm: BiLSTM
    attention: Attention
    ablation: Ablation
    head_ablation: HeadAblation
    group_ablation: GroupAblation
    pruning: Pruning
    report: Report
    compute: Compute
    limits: Limits

    @property
    def is_ranker(self) -> bool:
        """Whether the model gives one score a pair, to rank a query's titles by; else one output a grade."""
        return self.finetune.objective != "classes"

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.model.fine_tuned and self.model.name in (EMBEDDED, SCRATCH):
            raise ValueError(
                f"model.fine_tuned says that model.name is fine-tuned already, but that is {self.model.name!r}; set it "
                f"to false, or name a checkpoint below {paths.CHECKPOINTS}/ or on the hub"
            )
        if self.model.pretrained_from is not None and not self.model.fine_tuned:
            raise ValueError(
                f"model.pretrained_from {self.model.pretrained_from!r} is what a fine-tuned model.name came from, but "
                "model.fine_tuned is false; set that to true, or this to null"
            )
        if self.data.grades == NUMBERS and not self.is_ranker:
            raise ValueError(
                "data.grades is numbers, but finetune.objective classes needs named grades; list them, or set the "
                "objective to regression, pairwise or listwise"
            )
        if self.attention.drift_null and self.model.fine_tuned:
            raise ValueError(
                "attention.drift_null trains on shuffled grades, but model.fine_tuned is true, so that nothing is "
                "trained here; set attention.drift_null to false"
            )
        order = self.model.label_order
        if order is not None and sorted(order) != sorted(self.data.grade_names):
            raise ValueError(f"model.label_order {order} must hold each of data.grades {self.data.grades} once")
        return self


def with_values(params: Params, section: str, **values: Any) -> Params:
    """Params with other values in one section, unchecked."""
    changed = getattr(params, section).model_copy(update=values)
    return params.model_copy(update={section: changed})


def load_params(path: Path = paths.PARAMS) -> Params:
    """Read and check the params file.

    Raises:
        InputError: the file is missing, not YAML, or a key is unknown, missing or out of range.
    """
    values = _read(path)
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        raise InputError("\n".join(f"{path}: {_explain(item)}" for item in error.errors(include_url=False))) from None


def flatten_params(values: Mapping[str, Any] | BaseModel, prefix: str = "") -> dict[str, str]:
    """Flatten params to dotted names; values other than text, and the user's groups as a whole, are written as JSON."""
    flat: dict[str, str] = {}
    for key, value in dict(values).items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping | BaseModel) and value and name != GROUPS:
            flat |= flatten_params(value, f"{name}.")
        else:
            flat[name] = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return flat


def _read(path: Path) -> Any:
    if not path.is_file():
        raise InputError(f"{path} is {'no file' if path.exists() else 'missing'}; run from the project's root")
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except Exception as error:  # a date out of range, a number too long, a nesting too deep: each of its own class
        raise InputError(f"{path} is not YAML: {str(error) or type(error).__name__}") from None


# Old key -> new key, for the message to a params file from before a renaming.
RENAMED = {
    "base": "run, and its key draws to bootstrap_resamples",
    "run.draws": "run.bootstrap_resamples",
    "baseline": "bilstm",
    "model.base": "model.pretrained_from",
    "finetune.epochs": "training.max_epochs, and its value 0 to model.fine_tuned: true",
    "bilstm.epochs": "training.max_epochs",
    "attention.showcase_pairs": "attention.example_pairs",
    "attention.label_margin": "attention.label_threshold",
    "attention.broad": "attention.broad_entropy",
    "ablation.max_pairs": "head_ablation.max_pairs and group_ablation.max_pairs",
    "ablation.mean_resample_pairs": "head_ablation.mean_resample_pairs",
    "ablation.replaced_pairs": "head_ablation.mean_resample_pairs",
    "ablation.margin": "ablation.equivalence_margin",
    "group_ablation.draws": "group_ablation.random_groups_per_share",
    "group_ablation.control_draws": "group_ablation.random_control_groups",
    "group_ablation.largest_k": "group_ablation.max_top_k",
    "report.showcase_heads": "report.example_heads",
}

# Kind of pydantic's error -> what the value must be.
MUST_BE = {
    "int_type": "a whole number",
    "float_type": "a number (1.0e-4 is one to YAML, 1e-4 is text)",
    "finite_number": "a finite number",
    "string_type": "text, in quotes where it looks like something else",
    "bool_type": "true or false",
    "list_type": "a list, such as [a, b]",
    "model_type": "a section of keys",
    "dict_type": "a section of keys, or {{}}",
    "literal_error": "{expected}",
    "greater_than": "more than {gt}",
    "greater_than_equal": "{ge} or more",
    "less_than": "less than {lt}",
    "less_than_equal": "{le} or less",
    "too_short": "{min_length} values or more",
    "string_too_short": "{min_length} characters or more",
    "string_too_long": "{max_length} characters or fewer",
}


def _explain(item: Any) -> str:
    """Message of a pydantic error: key, value, fix."""
    key, value, kind = ".".join(str(part) for part in item["loc"]), quote_value(item["input"]), item["type"]
    if kind == "value_error":
        return f"{key + ': ' if key else ''}{item['ctx']['error']}"
    if kind == "missing":
        return f"{key} is missing; add it"
    if key in RENAMED:
        return f"{key} was renamed to {RENAMED[key]}"
    if kind == "extra_forbidden":
        known, name = list(_known_keys(Params)), key.rpartition(".")[2]
        similar = [other for other in known if other.endswith(f".{name}")] or get_close_matches(key, known, n=1)
        fix = f"did you mean {similar[0]}?" if similar else "remove it or fix its name"
        return f"{key} is not a known key (value {value}); {fix}"
    if key.startswith(f"{GROUPS}."):
        return f"{key} is {value}; write a group as [[layer, head], ...], whole numbers from 0"
    expected = MUST_BE[kind].format_map(item.get("ctx", {})) if kind in MUST_BE else f"valid: {item['msg']}"
    return f"{key or 'its content'} is {value}; it must be {expected}"


def _known_keys(section: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in section.model_fields.items():
        yield f"{prefix}{name}"
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _known_keys(field.annotation, f"{prefix}{name}.")
