"""Tokens and token types are those that a checkpoint's own files say, whatever class transformers makes of them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

from pipeline.core.errors import InputError
from pipeline.models import checkpoints
from pipeline.models.tokenization import EncodedPairs, encode_pairs
from tests.support.builders import CHECKPOINT, CPU, edit_config, load_tiny, random_classifier, save_checkpoint

pytestmark = pytest.mark.usefixtures("offline_project")

FILE, SETTINGS = CHECKPOINT / "tokenizer.json", CHECKPOINT / "tokenizer_config.json"
QUERY, TITLE = "Red-hat a b", "hat RED"
TOKENS = ["[CLS]", "red", "[UNK]", "hat", "a", "b", "[SEP]", "hat", "red", "[SEP]"]  # "-" is in no vocabulary
SECOND = [0, 0, 0, 0, 0, 0, 0, 1, 1, 1]


def edit(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")


def name_class(name: str | None) -> None:
    """Have SETTINGS name the tokenizer's class, or no class."""
    edit(SETTINGS, lambda settings: settings.pop("tokenizer_class"))
    if name:
        edit(SETTINGS, lambda settings: settings.update(tokenizer_class=name))


def encoded() -> tuple[list[str], EncodedPairs]:
    """Tokens of the pair as CHECKPOINT gives them, and the pair."""
    _, tokenizer = load_tiny()
    pairs = encode_pairs(tokenizer, [QUERY], [TITLE], 32)
    return tokenizer.convert_ids_to_tokens(pairs.ids.tolist()), pairs


def other_normalizer(content: dict[str, Any]) -> None:
    parts = [{"type": "Replace", "pattern": {"String": "-"}, "content": ""}, {"type": "Lowercase"}]
    content["normalizer"] = {"type": "Sequence", "normalizers": parts}


def other_words(content: dict[str, Any]) -> None:
    content["pre_tokenizer"] = {"type": "WhitespaceSplit"}


def other_limit(content: dict[str, Any]) -> None:
    content["model"]["max_input_chars_per_word"] = 2


@pytest.mark.parametrize("name", ["BertTokenizer", "BertTokenizerFast", "HerbertTokenizer", None])
@pytest.mark.parametrize(
    ("change", "tokens"),
    [
        (other_normalizer, ["[CLS]", "red", "##h", "##a", "##t", "a", "b", "[SEP]", "hat", "red", "[SEP]"]),
        (other_words, ["[CLS]", "[UNK]", "a", "b", "[SEP]", "hat", "red", "[SEP]"]),
        (other_limit, ["[CLS]", "[UNK]", "[UNK]", "[UNK]", "a", "b", "[SEP]", "[UNK]", "[UNK]", "[SEP]"]),
    ],
)
def test_tokens_are_those_of_tokenizer_json(change, tokens, name):
    """Classes of transformers 5 take the vocabulary of the file and split texts by their own defaults."""
    save_checkpoint(CHECKPOINT)
    edit(FILE, change)
    name_class(name)
    assert Tokenizer.from_file(str(FILE)).encode(QUERY, TITLE).tokens == tokens
    assert encoded()[0] == tokens
    checkpoints.save_tuned(*load_tiny(), Path("data/model"))
    _, tokenizer = checkpoints.load_tuned(Path("data/model"), CPU)
    assert tokenizer.convert_ids_to_tokens(encode_pairs(tokenizer, [QUERY], [TITLE], 32).ids.tolist()) == tokens


def test_case_is_kept_where_tokenizer_json_alone_speaks_of_it():
    save_checkpoint(CHECKPOINT)
    edit(FILE, lambda content: content["normalizer"].update(lowercase=False))
    edit(SETTINGS, lambda settings: settings.pop("do_lower_case"))
    assert encoded()[0][-3:] == ["hat", "[UNK]", "[SEP]"]


@pytest.mark.parametrize(
    ("key", "inner"), [("do_lower_case", "lowercase"), ("tokenize_chinese_chars", "handle_chinese_chars")]
)
def test_files_that_contradict_each_other(key, inner):
    save_checkpoint(CHECKPOINT)
    edit(FILE, lambda content: content["normalizer"].update({inner: False}))
    said = f"tokenizer_config.json has {key} True, but the normalizer in tokenizer.json has {inner} False; write"
    with pytest.raises(InputError, match=said):
        load_tiny()
    name_class("PreTrainedTokenizerFast")  # which never read that key
    assert encoded()[0]


@pytest.mark.parametrize(
    ("settings", "types"),
    [
        ({}, SECOND),
        ({"tokenizer_class": "PreTrainedTokenizerFast"}, SECOND),
        ({"tokenizer_class": "HerbertTokenizer"}, SECOND),
        ({"tokenizer_class": "TokenizersBackend"}, [0] * 10),
        ({"model_input_names": ["input_ids", "attention_mask"]}, [0] * 10),
    ],
)
def test_token_types_are_those_that_the_model_was_trained_with(settings, types):
    """All classes gave them before transformers 5, which takes them from some."""
    save_checkpoint(CHECKPOINT)
    edit(SETTINGS, lambda content: content.update(settings))
    tokens, pairs = encoded()
    assert tokens == TOKENS
    assert pairs.types.tolist() == types
    checkpoints.save_tuned(*load_tiny(), Path("data/model"))
    _, tokenizer = checkpoints.load_tuned(Path("data/model"), CPU)
    assert encode_pairs(tokenizer, [QUERY], [TITLE], 32).types.tolist() == types


def no_template(content: dict[str, Any]) -> None:
    content["post_processor"] = None


def template_for_one_text(content: dict[str, Any]) -> None:
    content["post_processor"]["pair"] = [{"Sequence": {"id": text, "type_id": 0}} for text in "AB"]


def template_without_a_middle(content: dict[str, Any]) -> None:
    del content["post_processor"]["pair"][2]


@pytest.mark.parametrize("change", [no_template, template_for_one_text, template_without_a_middle])
def test_pairs_without_special_tokens_are_refused(change):
    """The first word would be classified, and nothing would part query and title."""
    save_checkpoint(CHECKPOINT)
    edit(FILE, change)
    name_class("PreTrainedTokenizerFast")
    with pytest.raises(InputError, match=r"its tokenizer makes .*'a', 'b'.* no special token .*template for pairs"):
        load_tiny()


def test_a_class_that_has_a_template_needs_none_in_the_file():
    save_checkpoint(CHECKPOINT)
    edit(FILE, no_template)
    assert encoded()[0] == TOKENS


def test_the_padding_token_of_config_json_where_the_tokenizer_names_none():
    save_checkpoint(CHECKPOINT)
    edit(SETTINGS, lambda settings: settings.pop("pad_token"))
    name_class("PreTrainedTokenizerFast")
    assert load_tiny()[1].pad_token == "[PAD]"
    edit_config(pad_token_id=None)
    with pytest.raises(InputError, match=r"its tokenizer has no padding token; write .* into tokenizer_config.json"):
        load_tiny()


def test_tokens_beyond_the_weights_are_refused_however_few_there_are():
    save_checkpoint(CHECKPOINT)
    edit(FILE, lambda content: content["model"]["vocab"].update(hat=70))
    with pytest.raises(InputError, match=r"59 tokens, the last of number 70.*60 tokens.*copy both"):
        load_tiny()


def test_how_a_server_pads_and_cuts_changes_no_pair(capfd):
    save_checkpoint(CHECKPOINT)
    padding = {"strategy": {"Fixed": 40}, "direction": "Left", "pad_to_multiple_of": None, "pad_id": 0}
    cut = {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0}
    edit(
        FILE,
        lambda content: content.update(padding=padding | {"pad_type_id": 0, "pad_token": "[PAD]"}, truncation=cut),
    )
    capfd.readouterr()
    for length in (4, 1000000000000000019884624838656):
        edit(SETTINGS, lambda settings, length=length: settings.update(model_max_length=length, padding_side="left"))
        assert encoded()[0] == TOKENS
    assert capfd.readouterr().err == ""


def test_a_key_that_no_tokenizer_takes_is_named_with_its_file():
    save_checkpoint(CHECKPOINT)
    edit(SETTINGS, lambda settings: settings.update(add_special_tokens=False))
    with pytest.raises(InputError, match=r"made of tokenizer_config.json .*add_special_tokens conflicts.*take it out"):
        load_tiny()


@pytest.mark.parametrize("family", ["roberta", "xlm-roberta", "electra", "distilbert", "modernbert", "deberta-v2"])
def test_families_with_and_without_types(family):
    save_checkpoint(CHECKPOINT, random_classifier(family, heads=2, type_vocab_size=1))
    tokens, pairs = encoded()
    assert tokens == TOKENS
    assert pairs.types.tolist() == [0] * 10
