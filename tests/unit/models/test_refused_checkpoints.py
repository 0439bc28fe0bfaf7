"""Every checkpoint that cannot be used is refused with a message that says why and what to do."""

import json
import os
import shutil
from pathlib import Path

import pytest
import safetensors.torch
import torch

from pipeline.core.errors import InputError
from pipeline.models import checkpoints
from pipeline.models.inference import predict
from pipeline.models.tokenization import encode_pairs
from tests.support.builders import (
    CHECKPOINT,
    drop_weights,
    edit_config,
    edited_weights,
    load_tiny,
    logits_of,
    random_classifier,
    save_checkpoint,
)

EMBEDDINGS = "bert.embeddings.word_embeddings.weight"

pytestmark = pytest.mark.usefixtures("offline_project")


def no_folder():
    shutil.rmtree(CHECKPOINT)


def no_config():
    (CHECKPOINT / "config.json").unlink()


def no_weights():
    (CHECKPOINT / "model.safetensors").unlink()


def pickle_only():
    (CHECKPOINT / "model.safetensors").rename(CHECKPOINT / "pytorch_model.bin")


def pickle_by_another_name():
    (CHECKPOINT / "model.safetensors").rename(CHECKPOINT / "adapter_model.bin")
    edit_config(transformers_weights="adapter_model.bin")


def truncated_weights():
    os.truncate(CHECKPOINT / "model.safetensors", 5000)


def damaged_header():
    (CHECKPOINT / "model.safetensors").write_bytes(b"\xff" * 500)


def missing_layer():
    drop_weights("encoder.layer.1")


def infinite_weight():
    with edited_weights() as weights:
        weights[EMBEDDINGS][0, 0] = torch.inf


def config_of_another_size():
    edit_config(hidden_size=8)


def config_not_json():
    (CHECKPOINT / "config.json").write_text("{")


def another_architecture():
    edit_config(model_type="gpt2")


def code_of_its_own():
    edit_config(model_type="evil", auto_map={"AutoConfig": "evil.Config"})
    (CHECKPOINT / "evil.py").write_text("raise SystemExit('ran')")


def no_tokenizer():
    for file in CHECKPOINT.glob("tokenizer*"):
        file.unlink()


def damaged_tokenizer():
    os.truncate(CHECKPOINT / "tokenizer.json", 500)


def empty_tokenizer():
    (CHECKPOINT / "tokenizer.json").write_text("{}")


def tokenizer_of_a_later_version():
    path = CHECKPOINT / "tokenizer.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"model": {"type": "Later", "vocab": {}}}))


def slow_tokenizer():
    no_tokenizer()
    edit_config(model_type="roberta", pad_token_id=1)
    (CHECKPOINT / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BertweetTokenizer"}))
    (CHECKPOINT / "vocab.txt").write_text("red 1\n")
    (CHECKPOINT / "bpe.codes").write_text("r e 1\n")
    with edited_weights() as weights:
        for name in list(weights):
            weights[name.replace("bert.", "roberta.")] = weights.pop(name)


def tokenizer_of_another_model():
    with edited_weights() as weights:
        weights[EMBEDDINGS] = weights[EMBEDDINGS][:20].clone()
    edit_config(vocab_size=20)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (no_folder, "data/checkpoints/tiny is not a folder; put"),
        (no_config, "config.json is missing; copy"),
        (no_weights, "model.safetensors is missing; copy"),
        (pickle_only, "pytorch_model.bin.*never loaded; save the model again"),
        (pickle_by_another_name, "adapter_model.bin.*never loaded"),
        (truncated_weights, "SafetensorError.*copy them again"),
        (damaged_header, "SafetensorError.*copy them again"),
        (missing_layer, r"16 weights of its encoder.*bert.encoder.layer.1"),
        (infinite_weight, "not finite"),
        (config_of_another_size, "weights of its encoder"),
        (config_not_json, "not a valid JSON file.*copy them again"),
        (another_architecture, "'gpt2'; accepted are bert, roberta, xlm-roberta, electra, ernie, camembert"),
        (code_of_its_own, "'evil'; accepted are"),
        (no_tokenizer, "no tokenizer files"),
        (damaged_tokenizer, "JSONDecodeError.*copy them again"),
        (empty_tokenizer, r"tokenizer.json is none that tokenizers .* reads .*Model missing.*save it again"),
        (tokenizer_of_a_later_version, r"tokenizer.json is none that tokenizers .* reads .*save it again"),
        (slow_tokenizer, "only a slow tokenizer .BertweetTokenizer"),
        (tokenizer_of_another_model, "59 tokens.*20 tokens"),
    ],
)
def test_unusable_folders(damage, message):
    save_checkpoint(CHECKPOINT)
    damage()
    with pytest.raises(InputError, match=message):
        load_tiny()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {"position_embedding_type": "relative_key_query"},
            "position_embedding_type 'relative_key_query'; transformers",
        ),
        ({"position_embedding_type": "alibi"}, "position_embedding_type 'alibi'"),
        ({"is_decoder": True}, "is_decoder True; a token would see those before it alone"),
        ({"add_cross_attention": True}, "add_cross_attention True"),
        ({"pruned_heads": {"0": [1]}}, "pruned_heads .*layers differ in shape"),
        ({"quantization_config": {"quant_method": "bitsandbytes"}}, "quantization_config .*before quantization"),
        ({"hidden_act": "nonsense"}, "hidden_act 'nonsense', which transformers does not know; known are gelu"),
        ({"num_hidden_layers": 1}, r"16 weights of an encoder .* not take: bert.encoder.layer.1.*num_hidden_layers"),
        ({"max_position_embeddings": "64"}, "'max_position_embeddings' expected int, got str.*correct the value"),
        ({"num_attention_heads": 3}, "number of attention heads .3.; .*correct the value"),
        ({"hidden_size": 8}, r"not of the shape that config.json says: .* has \[16\], not \[8\]"),
    ],
)
def test_configurations_of_another_function(config, message):
    """Named by key and value, before anything is trained, and never as damage: the files are whole."""
    save_checkpoint(CHECKPOINT)
    edit_config(**config)
    with pytest.raises(InputError, match=message) as raised:
        load_tiny()
    assert "damaged" not in str(raised.value)


def test_families_without_embedded_positions_keep_an_idle_word():
    save_checkpoint(CHECKPOINT, random_classifier("modernbert", heads=2))
    edit_config(position_embedding_type="sans_pos")
    assert logits_of(*load_tiny()).shape == (2, 5)


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert", "modernbert", "deberta-v2"])
@pytest.mark.parametrize("as_encoder", [False, True])
def test_weights_of_an_encoder_that_would_be_left_out(family, as_encoder):
    """Relative positions, adapters: whatever the file holds of the encoder and the architecture does not take."""
    model = random_classifier(family, heads=2)
    save_checkpoint(CHECKPOINT, model.base_model if as_encoder else model)
    with edited_weights() as weights:
        layer = next(name for name in weights if "layer" in name.split("embeddings")[0])
        weights[layer.replace(layer.split(".")[-2], "distance_embedding")] = torch.zeros(3, 4)
    with pytest.raises(InputError, match=r"holds 1 weights of an encoder .* does not take: .*distance_embedding"):
        load_tiny()


@pytest.mark.parametrize("prefix", ["module.", "model.", "_orig_mod.", "module.model.", "0.auto_model."])
@pytest.mark.parametrize("as_encoder", [False, True])
def test_a_prefix_of_every_name_is_named(prefix, as_encoder):
    model = random_classifier("bert", heads=2)
    save_checkpoint(CHECKPOINT, model.bert if as_encoder else model)
    with edited_weights() as weights:
        for name in list(weights):
            weights[prefix + name] = weights.pop(name)
    with pytest.raises(InputError, match=f"every name in its file begins with '{prefix}', .*take that off"):
        load_tiny()


def test_weights_of_code_of_its_own():
    save_checkpoint(CHECKPOINT)
    edit_config(auto_map={"AutoModel": "own.Model"})
    with edited_weights() as weights:
        for name in list(weights):
            weights[f"{name}.mixer.Wqkv"] = weights.pop(name)
    with pytest.raises(InputError, match=r"code of the checkpoint's own \(auto_map\).*mixer.Wqkv"):
        load_tiny()


def test_weights_without_metadata_are_whole():
    saved = save_checkpoint(CHECKPOINT)
    weights = safetensors.torch.load_file(CHECKPOINT / "model.safetensors")
    safetensors.torch.save_file(weights, CHECKPOINT / "model.safetensors")
    assert logits_of(*load_tiny()) == pytest.approx(logits_of(saved, load_tiny()[1]))


@pytest.mark.parametrize("file", ["model.safetensors", "tokenizer.json", "config.json"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "is a Git LFS pointer.*git lfs pull"),
        ("<!DOCTYPE html>\n<html></html>", "is a web page.*/resolve/"),
    ],
)
def test_stand_ins_for_a_file(file, content, message):
    save_checkpoint(CHECKPOINT)
    (CHECKPOINT / file).write_text(content)
    with pytest.raises(InputError, match=f"tiny/{file} {message}"):
        load_tiny()


def test_pointers_to_files_that_nobody_reads_may_stay():
    saved = save_checkpoint(CHECKPOINT)
    (CHECKPOINT / "onnx").mkdir()
    for name in ("onnx/model.onnx", "tf_model.h5", "pytorch_model.bin"):
        (CHECKPOINT / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    (CHECKPOINT / "README.md").write_text("<html></html>")
    assert logits_of(*load_tiny()) == pytest.approx(logits_of(saved, load_tiny()[1]))


def test_quantized_weights_in_a_part():
    save_checkpoint(CHECKPOINT)
    (CHECKPOINT / "model.safetensors").unlink()
    random_classifier("bert", heads=2).save_pretrained(CHECKPOINT, max_shard_size="4KB")
    part = CHECKPOINT / json.loads((CHECKPOINT / "model.safetensors.index.json").read_text())["weight_map"][EMBEDDINGS]
    weights = safetensors.torch.load_file(part)
    safetensors.torch.save_file({name: weight.to(torch.int8) for name, weight in weights.items()}, part)
    with pytest.raises(InputError, match=r"holds quantized weights, bert\.embeddings\.\w+\.weight in I8"):
        load_tiny()


def test_quantized_weights_without_a_word_in_config_json():
    save_checkpoint(CHECKPOINT)
    with edited_weights() as weights:
        weights[EMBEDDINGS] = weights[EMBEDDINGS].to(torch.int8)
    with pytest.raises(InputError, match=f"holds quantized weights, {EMBEDDINGS} in I8"):
        load_tiny()


def test_two_sets_of_weights():
    """Parts that were saved into a folder with a whole file, which transformers would read."""
    save_checkpoint(CHECKPOINT)
    random_classifier("bert", heads=2, seed=5).save_pretrained(CHECKPOINT, max_shard_size="4KB")
    with pytest.raises(InputError, match=r"two sets of weights, model.safetensors and .*index.json.* remove the one"):
        load_tiny()


def test_a_missing_part_of_the_weights():
    save_checkpoint(CHECKPOINT)
    (CHECKPOINT / "model.safetensors").unlink()
    random_classifier("bert", heads=2).save_pretrained(CHECKPOINT, max_shard_size="4KB")
    sorted(CHECKPOINT.glob("model-*"))[1].unlink()
    with pytest.raises(InputError, match=r"model-00002-of-.*incomplete, copy them again"):
        load_tiny()


def test_a_pickle_under_a_safetensors_name():
    saved = save_checkpoint(CHECKPOINT)
    torch.save(saved.state_dict(), CHECKPOINT / "model.safetensors")
    with pytest.raises(InputError, match=r"model.safetensors is a pickle of torch.save, which is never loaded"):
        load_tiny()


@pytest.mark.parametrize(
    ("family", "file"),
    [
        ("xlm-roberta", "sentencepiece.bpe.model"),
        ("camembert", "sentencepiece.bpe.model"),
        ("deberta-v2", "spm.model"),
    ],
)
def test_a_sentencepiece_model_without_tokenizer_json(family, file):
    random_classifier(family, heads=2).save_pretrained(CHECKPOINT)
    (CHECKPOINT / file).write_bytes(b"\x0a\x0e\x0a\x05<unk>\x15\x00\x00\x00\x00\x18\x02")
    with pytest.raises(InputError, match=f"has {file} but no tokenizer.json.*save_pretrained") as raised:
        load_tiny()
    assert "damaged" not in str(raised.value)


@pytest.mark.parametrize("name", ["data/model", "../outside", "/absolute", "a/b/c", "data/checkpoints", "two words"])
def test_names_of_no_kind(name):
    Path("data/model").mkdir(parents=True)
    with pytest.raises(InputError, match="neither 'embedded', 'scratch', a folder below data/checkpoints/ nor a hub"):
        load_tiny(name)


def test_a_hub_name_without_a_hub():
    with pytest.raises(InputError, match=r"somebody/some-model: .*check the name and the connection"):
        load_tiny("somebody/some-model")


@pytest.mark.parametrize(("family", "room"), [("bert", 64), ("electra", 64), ("roberta", 62), ("camembert", 62)])
def test_max_length_beyond_the_position_embeddings(family, room):
    save_checkpoint(CHECKPOINT, random_classifier(family, heads=2))
    with pytest.raises(InputError, match=rf"model.max_length is {room + 1}, but .* positions for {room} tokens"):
        load_tiny(model__max_length=room + 1)
    model, tokenizer = load_tiny(model__max_length=room)
    longest = encode_pairs(tokenizer, ["a " * 80], ["b " * 80], room)
    assert longest.lengths.tolist() == [room]
    assert predict(model, longest, model.config.pad_token_id).shape == (1, 5)


def test_a_tokenizer_with_text_types_for_weights_without():
    model = random_classifier("roberta", heads=2)
    model.resize_token_embeddings(60)
    model.roberta.embeddings.token_type_embeddings = torch.nn.Embedding(1, 16)
    save_checkpoint(CHECKPOINT, model, type_vocab_size=1)
    assert logits_of(*load_tiny()).shape == (2, 5)


def test_a_missing_device(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert checkpoints.pick_device("auto") == torch.device("cpu")
    with pytest.raises(InputError, match=r"run.device is 'cuda'"):
        checkpoints.pick_device("cuda")


@pytest.mark.parametrize("family", ["distilbert", "modernbert"])
def test_families_without_token_types_have_room_for_all_their_positions(family):
    room = save_checkpoint(CHECKPOINT, random_classifier(family, heads=2)).config.max_position_embeddings
    assert logits_of(*load_tiny(model__max_length=room)).shape == (2, 5)
    with pytest.raises(InputError, match=f"positions for {room} tokens"):
        load_tiny(model__max_length=room + 1)


def test_relative_positions_have_room_for_any_length():
    save_checkpoint(CHECKPOINT, random_classifier("deberta-v2", heads=2))
    model, tokenizer = load_tiny(model__max_length=200)
    longest = encode_pairs(tokenizer, ["a " * 150], ["b " * 150], 200)
    assert longest.lengths.tolist() == [200]
    assert predict(model, longest, tokenizer.pad_token_id).shape == (1, 5)
