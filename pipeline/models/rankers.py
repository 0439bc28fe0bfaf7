"""Models of one score a pair: a sequence classifier of one output, or a scoring chain."""

from pathlib import Path

from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerFast

from pipeline.core.errors import InputError
from pipeline.models.chain_files import read_chain, write_chain
from pipeline.models.checkpoint_files import note
from pipeline.models.checkpoint_weights import read_weights
from pipeline.models.classifier_labels import SCORE, check_score, name_outputs, score_by_difference
from pipeline.models.cross_encoder_files import (
    ACTIVATION,
    IDENTITY,
    OLD_ACTIVATION,
    SIGMOID,
    CrossEncoderFiles,
    check_activation,
    read_cross_encoder,
    write_cross_encoder,
)
from pipeline.models.scoring_chain import ScoringChain
from pipeline.models.tokenizer_files import read_tokenizer

Ranker = tuple[PreTrainedModel, PreTrainedTokenizerFast]


def read_model(name: str, source: str, config: PretrainedConfig) -> tuple[PreTrainedModel, list[str]]:
    """Read a scoring chain or a classifier as its files say, and the names of weights that the classifier lacks.

    Raises:
        InputError: as `read_cross_encoder`, `read_chain` and `read_weights`.
    """
    return _read(name, source, config, read_cross_encoder(name, source, config))


def read_trained_ranker(name: str, source: str, config: PretrainedConfig, max_length: int) -> Ranker:
    """Read a model that scores pairs already, and its tokenizer; the difference of two outputs is one score.

    Says on stderr which output is taken from which, and where `predict` cuts pairs to another length than max_length.

    Raises:
        InputError: as `read_model`; more outputs than two, or weights of the score are missing.
    """
    files = _read_files(name, source, config)
    if not files.modules:
        check_score(name, config)
    model, untrained = _read(name, source, config, files)
    if untrained:
        raise InputError(
            f"model.name {name} has no trained scoring layer ({', '.join(untrained)} are missing), which one that is "
            "fine-tuned already needs and which is never made up; name another, or set model.fine_tuned to false"
        )
    activation = files.activation or SIGMOID
    if config.num_labels == 2:
        note(f"{name} has two outputs; the score is {score_by_difference(model)}")
        activation = files.activation or IDENTITY
    tokenizer = read_tokenizer(name, source, config)
    length = files.max_length or min(tokenizer.model_max_length, config.max_position_embeddings)
    if length != max_length:
        note(f"CrossEncoder.predict cuts pairs of {name} to {length} tokens, model.max_length to {max_length}")
    return _finish(model, tokenizer, activation, max_length)


def read_ranker_start(name: str, source: str, config: PretrainedConfig, max_length: int) -> Ranker:
    """Read a model to train, and its tokenizer: its one score is trained on, where it has none a new one is drawn.

    Raises:
        InputError: as `read_model`.
    """
    files = _read_files(name, source, config)
    name_outputs(config, [SCORE])
    model, untrained = _read(name, source, config, files)
    activation = IDENTITY if untrained else files.activation or SIGMOID
    return _finish(model, read_tokenizer(name, source, config), activation, max_length)


def write_ranker(model: PreTrainedModel, folder: Path) -> None:
    """Write model and files as sentence-transformers' `CrossEncoder` loads them."""
    if isinstance(model, ScoringChain):
        modules = write_chain(model, folder)
    else:
        modules = []
        model.save_pretrained(folder)
    named = getattr(model.config, ACTIVATION, {})
    write_cross_encoder(folder, named.get("activation_fn", IDENTITY), modules)


def _read_files(name: str, source: str, config: PretrainedConfig) -> CrossEncoderFiles:
    files = read_cross_encoder(name, source, config)
    check_activation(name, files.activation)
    return files


def _read(
    name: str, source: str, config: PretrainedConfig, files: CrossEncoderFiles
) -> tuple[PreTrainedModel, list[str]]:
    if not files.modules:
        return read_weights(name, source, config)
    name_outputs(config, [SCORE])  # the configuration is a bare encoder's
    return read_chain(name, source, config, files.modules), []


def _finish(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, activation: str, max_length: int) -> Ranker:
    """Keep what `CrossEncoder` needs to score as here: the one output, its activation, the length pairs are cut to."""
    name_outputs(model.config, [SCORE])
    if hasattr(model.config, OLD_ACTIVATION):
        delattr(model.config, OLD_ACTIVATION)
    setattr(model.config, ACTIVATION, {"activation_fn": activation})
    tokenizer.model_max_length = max_length
    return model, tokenizer
