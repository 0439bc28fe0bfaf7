"""Tokenizer of a checkpoint, read as its own files say; transformers 5 rebuilds some parts by its class's defaults."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, cast

import tokenizers
from transformers import AutoTokenizer, PretrainedConfig, PreTrainedTokenizerFast
from transformers.utils import cached_file

from pipeline.core import paths
from pipeline.core.errors import InputError
from pipeline.models.checkpoint_files import DAMAGE, explain_failures, quiet_transformers, summary

TOKENIZER = "tokenizer.json"
SETTINGS = "tokenizer_config.json"
SENTENCE_PIECE = ("sentencepiece.bpe.model", "spm.model", "spiece.model")
TYPES: Final = "token_type_ids"
# Parts of TOKENIZER that decide which tokens a text has. A class's own model has the file's vocabulary and no more.
PARTS = ("normalizer", "pre_tokenizer", "model", "post_processor")
# What SETTINGS may say too -> the part of TOKENIZER, and the key there.
SAID_TWICE = {
    "do_lower_case": ("normalizer", "lowercase"),
    "strip_accents": ("normalizer", "strip_accents"),
    "tokenize_chinese_chars": ("normalizer", "handle_chinese_chars"),
    "add_prefix_space": ("pre_tokenizer", "add_prefix_space"),
}
# The class's name in files of transformers 5, where it gives no types; in those of 4, PreTrainedTokenizerFast, it did.
WITHOUT_TYPES = "TokenizersBackend"


def read_tokenizer(name: str, source: str, config: PretrainedConfig) -> PreTrainedTokenizerFast:
    """Read the tokenizer of the checkpoint.

    Raises:
        InputError: it is missing, slow or another model's; its files contradict each other; it has no padding token,
            or puts no special tokens before a pair and between its texts.
    """
    with explain_failures(name):
        try:
            found = AutoTokenizer.from_pretrained(source, config=config, trust_remote_code=False)
        except Exception as error:
            _explain_failure(name, source, error)
            raise
        if not found.is_fast:
            raise InputError(
                f"checkpoint {name} has only a slow tokenizer ({type(found).__name__}), which gives no character "
                f"offsets; convert it to a {TOKENIZER}"
            )
        tokenizer = cast(PreTrainedTokenizerFast, found)
        settings = _read_json(source, SETTINGS) or {}
        if file := _path(source, TOKENIZER):
            _follow_file(name, file, settings, tokenizer)
    _check_vocabulary(name, tokenizer, config)
    _follow_types(tokenizer, settings, config)
    _check_special_tokens(name, tokenizer)
    return tokenizer


def _follow_file(name: str, file: Path, settings: dict[str, Any], tokenizer: PreTrainedTokenizerFast) -> None:
    """Take the parts of TOKENIZER where the tokenizer's class has built others.

    Raises:
        InputError: SETTINGS say otherwise than TOKENIZER.
    """
    written, built = tokenizers.Tokenizer.from_file(str(file)), tokenizer.backend_tokenizer
    for part in PARTS:
        theirs, ours = getattr(written, part), getattr(built, part)
        if part == "post_processor" and theirs is None:  # a class knows where its special tokens stand
            continue
        _check_said_twice(name, part, _state(theirs), _state(ours), settings)
        if _state(theirs) != _state(ours):
            setattr(built, part, theirs)


def _check_said_twice(
    name: str, part: str, written: dict[str, Any], built: dict[str, Any], settings: dict[str, Any]
) -> None:
    """Raise InputError where SETTINGS, which the class follows, say otherwise than the part of TOKENIZER."""
    for key, (place, inner) in SAID_TWICE.items():
        said = settings.get(key)
        if place == part and said is not None and said == built.get(inner) != written.get(inner, said):
            raise InputError(
                f"checkpoint {name}: {SETTINGS} has {key} {said}, but the {part} in {TOKENIZER} has {inner} "
                f"{written[inner]}; write into both what the model was trained with"
            )


def _state(part: Any) -> dict[str, Any]:
    return json.loads(part.__getstate__()) if part is not None else {}


def _check_vocabulary(name: str, tokenizer: PreTrainedTokenizerFast, config: PretrainedConfig) -> None:
    """Give the tokenizer the padding token of the configuration where its own files name none.

    Raises:
        InputError: it has special tokens alone, more tokens than the model, or none to pad with.
    """
    if len(tokenizer) <= len(set(tokenizer.all_special_ids)):
        raise InputError(f"checkpoint {name} has no tokenizer files; add {TOKENIZER} or the vocabulary")
    last = max(tokenizer.get_vocab().values())
    if last >= config.vocab_size:
        raise InputError(
            f"checkpoint {name}: its tokenizer ({len(tokenizer)} tokens, the last of number {last}) does not belong to "
            f"its weights ({config.vocab_size} tokens); copy both from one place"
        )
    if tokenizer.pad_token_id is None:
        padding = tokenizer.convert_ids_to_tokens([] if config.pad_token_id is None else [config.pad_token_id])
        if not padding or padding[0] is None:
            raise InputError(
                f"checkpoint {name}: its tokenizer has no padding token; write the token's text as pad_token into "
                f"{SETTINGS}"
            )
        tokenizer.pad_token = padding[0]


def _follow_types(tokenizer: PreTrainedTokenizerFast, settings: dict[str, Any], config: PretrainedConfig) -> None:
    """Have the tokenizer give token types where the model was trained with them, and not where it knows none.

    Every class gave them before transformers 5 unless SETTINGS said otherwise. Some checkpoints have weights for a
    single type and a tokenizer of two.
    """
    names = tokenizer.model_input_names
    says_so = "model_input_names" in settings or settings.get("tokenizer_class") == WITHOUT_TYPES
    if getattr(config, "type_vocab_size", 0) < 2:
        tokenizer.model_input_names = [name for name in names if name != TYPES]
    elif TYPES not in names and not says_so:
        tokenizer.model_input_names = [*names, TYPES]
        tokenizer.init_kwargs["model_input_names"] = tokenizer.model_input_names  # what is saved


def _check_special_tokens(name: str, tokenizer: PreTrainedTokenizerFast) -> None:
    with quiet_transformers():  # of a length that SETTINGS may say
        encodings = tokenizer(["a"], ["b"]).encodings
    assert encodings is not None, "the tokenizer is a fast one"
    texts = encodings[0].sequence_ids
    parted = {0, 1} - set(texts) or None in texts[texts.index(0) : texts.index(1)]
    if texts[0] is not None or not parted:
        raise InputError(
            f"checkpoint {name}: its tokenizer makes {encodings[0].tokens} of the texts 'a' and 'b': no special token "
            "before them or between them, so that the first word would be taken for the state of the pair; add a "
            f"post_processor with a template for pairs to {TOKENIZER}"
        )


def _explain_failure(name: str, source: str, error: Exception) -> None:
    """Raise InputError where a whole TOKENIZER is of another version, or a SentencePiece model stands without one."""
    if Path(name) == paths.MODEL:
        return
    held = [file for file in (TOKENIZER, *SENTENCE_PIECE) if _path(source, file)]
    if held and TOKENIZER not in held:
        raise InputError(
            f"checkpoint {name} has {held[0]} but no {TOKENIZER}, which is read here; make it where sentencepiece and "
            "protobuf are installed: transformers.AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)"
        )
    if held and (fault := _fault_of_file(source)):
        raise InputError(
            f"checkpoint {name}: {TOKENIZER} is none that tokenizers {tokenizers.__version__} reads ({fault}); save it "
            "again with this version, or with the one that the model was made with if that is older"
        ) from None
    if _path(source, SETTINGS) and not isinstance(error, DAMAGE):
        raise InputError(
            f"checkpoint {name}: no tokenizer can be made of {SETTINGS} ({summary(error)}); correct the key or "
            "take it out"
        )


def _fault_of_file(source: str) -> str | None:
    """What is wrong with TOKENIZER, where it is JSON all the same."""
    with suppress(json.JSONDecodeError, UnicodeDecodeError):
        _read_json(source, TOKENIZER)
        try:
            tokenizers.Tokenizer.from_file(str(_path(source, TOKENIZER)))
        except Exception as error:  # of compiled code, without a class of their own
            return summary(error)
    return None


def _read_json(source: str, file: str) -> dict[str, Any] | None:
    path = _path(source, file)
    return json.loads(path.read_text(encoding="utf-8")) if path else None


def _path(source: str, file: str) -> Path | None:
    found = cached_file(source, file, _raise_exceptions_for_missing_entries=False)
    return Path(found) if found is not None else None
