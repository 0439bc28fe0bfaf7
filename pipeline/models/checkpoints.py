"""Loading and saving of models: before fine-tuning, fine-tuned elsewhere, fine-tuned here."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerFast

from pipeline.core import atomic, formats
from pipeline.core.config import SCRATCH, Params
from pipeline.core.errors import InputError
from pipeline.models import checkpoint_files
from pipeline.models.checkpoint_config import check_length, read_config
from pipeline.models.checkpoint_files import note
from pipeline.models.checkpoint_weights import align_weights, read_weights
from pipeline.models.classifier_labels import (
    check_labels,
    label_names,
    name_outputs,
    order_outputs,
    output_names,
)
from pipeline.models.random_init import build_scratch, build_wordpiece_vocabulary
from pipeline.models.rankers import read_model, read_ranker_start, read_trained_ranker, write_ranker
from pipeline.models.removal import Kept
from pipeline.models.tokenizer_files import read_tokenizer
from pipeline.models.vocabularies import check_same_heads, check_vocabulary

Loaded = tuple[PreTrainedModel, PreTrainedTokenizerFast]


def load_start(params: Params, train_texts: list[str], device: torch.device) -> Loaded:
    """Load the start of the finetune stage: the model to train, or the one that is fine-tuned already.

    Raises:
        InputError: as `load_before` and `load_labelled`; heads or tokens that are not those of model.pretrained_from.
    """
    if not params.model.fine_tuned:
        return load_before(params, train_texts, device)
    model, tokenizer = load_labelled(params, device)
    if params.model.has_before:
        _check_before(params, train_texts, model, tokenizer)
    return model, tokenizer


def load_before(
    params: Params, train_texts: list[str], device: torch.device, attn_implementation: str = "sdpa"
) -> Loaded:
    """Load the model before fine-tuning, with a new classifier where the checkpoint has none that fits.

    That is model.name, or where that is fine-tuned already model.pretrained_from (params.model.has_before). The same
    params give the same weights.

    Args:
        params: model, data.grades, finetune.objective and run.seed are read.
        train_texts: the training split's texts, which the vocabulary of `scratch` is built from.
        device: where the model is put.
        attn_implementation: "sdpa", or "eager" where attention maps are wanted.

    Returns:
        The model in evaluation mode and its tokenizer.

    Raises:
        InputError: the checkpoint cannot be had or read, is of another architecture, or too short for max_length.
    """
    name = params.model.pretrained_from if params.model.fine_tuned else params.model.name
    scratch = (params.model.scratch, params.model.max_length, output_names(params), train_texts)
    assert name is not None, "params.model.has_before says whether there is one"
    with _seeded(params.run.seed):
        model, tokenizer = build_scratch(*scratch) if name == SCRATCH else _read_start(name, params)
    return _ready(model, tokenizer, device, attn_implementation)


def load_labelled(params: Params, device: torch.device) -> Loaded:
    """Load the checkpoint model.name, already fine-tuned: its outputs in the order of data.grades, or its one score.

    Raises:
        InputError: as `load_before`; no trained outputs; other outputs than the objective needs: grades in another
            number or order, or not one score.
    """
    name = params.model.name
    source, config = _configuration(name, params.model.max_length)
    if params.is_ranker:
        model, tokenizer = read_trained_ranker(name, source, config, params.model.max_length)
    else:
        model, tokenizer = _read_grader(name, source, config, params)
    return _ready(model, tokenizer, device, "sdpa")


def load_tuned(folder: Path, device: torch.device, attn_implementation: str = "sdpa") -> Loaded:
    """Load the model and tokenizer that `save_tuned` wrote, in evaluation mode; output i is grade i, or the score.

    A smaller model comes back as it was saved.

    Raises:
        InputError: the folder is missing or damaged.
    """
    if not (folder / checkpoint_files.CONFIG).is_file() or not any(
        (folder / name).is_file() for name in checkpoint_files.WEIGHTS
    ):
        raise InputError(f"{folder} holds no fine-tuned model; {checkpoint_files.MADE_BY_FINETUNE}")
    source = str(folder)
    config = read_config(source, source)
    model, untrained = read_model(source, source, config)
    if untrained:
        raise InputError(f"{folder} lacks {', '.join(untrained)}; {checkpoint_files.MADE_BY_FINETUNE}")
    return _ready(model, read_tokenizer(source, source, config), device, attn_implementation)


def save_tuned(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, folder: Path, kept: Kept | None = None
) -> None:
    """Save model and tokenizer by save_pretrained, without a trace of where the checkpoint was loaded.

    What has one output is saved as a `CrossEncoder`, which sentence-transformers loads.

    Args:
        kept: what is kept of the whole model, for `load_tuned`, where the model is a smaller one.
    """
    save = write_ranker if model.config.num_labels == 1 else type(model).save_pretrained
    tokenizer.backend_tokenizer.no_truncation()
    for circumstance in ("is_local", "local_files_only"):
        tokenizer.init_kwargs.pop(circumstance, None)
    with checkpoint_files.quiet_transformers(), atomic.replace_atomically(folder) as temporary:
        save(model, temporary)
        tokenizer.save_pretrained(temporary)
        if kept is not None:
            formats.write_json(temporary / checkpoint_files.PRUNED, kept.record())


def pick_device(name: str) -> torch.device:
    """Device for run.device. Raises InputError for cuda where there is none."""
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("run.device is 'cuda' but torch finds no such device; set it to 'cpu' or 'auto'")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def dimensions(model: PreTrainedModel) -> tuple[int, int]:
    """Layers, and heads per layer."""
    return model.config.num_hidden_layers, model.config.num_attention_heads


def _configuration(name: str, max_length: int) -> tuple[str, PretrainedConfig]:
    source = checkpoint_files.locate(name)
    config = read_config(name, source)
    check_length(name, config, max_length)
    return source, config


def _read_start(name: str, params: Params) -> Loaded:
    source, config = _configuration(name, params.model.max_length)
    if params.is_ranker:
        return read_ranker_start(name, source, config, params.model.max_length)
    grades = params.data.grade_names
    name_outputs(config, grades)
    model, untrained = read_weights(name, source, config)
    if not untrained:
        order_outputs(model, params.model.label_order or grades, grades)
    return model, read_tokenizer(name, source, config)


def _read_grader(name: str, source: str, config: PretrainedConfig, params: Params) -> Loaded:
    grades = params.data.grade_names
    model, untrained = read_model(name, source, config)
    if untrained:
        raise InputError(
            f"model.name {name} has no trained classifier ({', '.join(untrained)} are missing), "
            "which one that is fine-tuned already needs; name another, or set model.fine_tuned to false"
        )
    check_labels(name, config, params.model.label_order, grades)
    taken, labels = params.model.label_order or grades, label_names(config)
    if labels != taken:
        pairs = ", ".join(f"{label} for {grade}" for label, grade in zip(labels, taken, strict=True))
        note(f"the outputs of {name} are taken for the grades so (model.label_order): {pairs}")
    order_outputs(model, params.model.label_order or grades, grades)
    name_outputs(model.config, grades)
    return model, read_tokenizer(name, source, config)


def _check_before(
    params: Params, train_texts: list[str], model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    """Check that heads and tokens of model.pretrained_from are those of the model fine-tuned from it."""
    base, scratch = params.model.pretrained_from, params.model.scratch
    if base == SCRATCH:
        before = (scratch.layers, scratch.heads)
        vocabulary = build_wordpiece_vocabulary(train_texts, scratch.vocabulary)
    else:
        source, config = _configuration(str(base), params.model.max_length)
        before = (config.num_hidden_layers, config.num_attention_heads)
        vocabulary = read_tokenizer(str(base), source, config).get_vocab()
    check_same_heads(before, dimensions(model))
    check_vocabulary(vocabulary, tokenizer.get_vocab())


def _ready(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, device: torch.device, attn_implementation: str
) -> Loaded:
    if model.config.pad_token_id is None:
        model.config.pad_token_id = tokenizer.pad_token_id
    with checkpoint_files.quiet_transformers():  # some families know one implementation only
        model.set_attn_implementation(attn_implementation)
    align_weights(model)
    return model.to(device).eval(), tokenizer  # type: ignore[arg-type]


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """New weights drawn from `seed`, the caller's random state left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
