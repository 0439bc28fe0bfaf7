"""Every reranker that would be scored otherwise than its authors do is refused, by file, key, value and fix."""

import json
import shutil
from pathlib import Path

import pytest
import safetensors.torch
import torch

from pipeline.core.errors import InputError
from pipeline.models import checkpoints
from tests.support.builders import (
    CHECKPOINT,
    CPU,
    TEXTS,
    random_classifier,
    save_checkpoint,
    tiny_params,
    tiny_tokenizer,
)
from tests.support.cross_encoders import random_chain, random_ranker, ranker_params

pytestmark = pytest.mark.usefixtures("offline_project")
SETTINGS, TRANSFORMER = "config_sentence_transformers.json", "sentence_bert_config.json"


def edited(file: str, **changes):
    """An edit of the keys of a JSON file of CHECKPOINT."""

    def edit():
        path = CHECKPOINT / file
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return edit


def module_edited(index: int, **changes):
    """An edit of an entry of modules.json."""

    def edit():
        path = CHECKPOINT / "modules.json"
        modules = json.loads(path.read_text())
        modules[index].update(changes)
        path.write_text(json.dumps(modules))

    return edit


def without_module(index: int):
    def edit():
        path = CHECKPOINT / "modules.json"
        modules = json.loads(path.read_text())
        del modules[index]
        path.write_text(json.dumps(modules))

    return edit


def without_file(file: str):
    return lambda: (CHECKPOINT / file).unlink()


def weights_edited(file: str, change):
    def edit():
        path = CHECKPOINT / file
        weights = safetensors.torch.load_file(path)
        change(weights)
        safetensors.torch.save_file(weights, path)

    return edit


def load():
    return checkpoints.load_start(ranker_params(), TEXTS, CPU)


CHAIN_DAMAGE = [
    (
        edited("1_Pooling/config.json", pooling_mode="max"),
        r"1_Pooling/config.json has pooling_mode 'max'; .*cls and mean",
    ),
    (edited("1_Pooling/config.json", pooling_mode=["cls", "mean"]), r"pooling_mode \['cls', 'mean'\]"),
    (edited("2_Dense/config.json", activation_function="evil.Act"), r"2_Dense/.* has activation_function 'evil.Act'"),
    (edited("2_Dense/config.json", use_residual=True), "use_residual True; only False"),
    (edited("2_Dense/config.json", in_features=17), "in_features 17; only 16"),
    (
        edited("2_Dense/config.json", module_output_name="other"),
        "module_output_name 'other'; only 'sentence_embedding'",
    ),
    (edited("2_Dense/config.json", out_features="many"), "checkpoints/tiny: TypeError.*correct the value"),
    (edited("3_LayerNorm/config.json", dimension=13), "dimension 13; only 12"),
    (edited("4_Dense/config.json", out_features=2), "4_Dense/config.json has out_features 2; only 1"),
    (
        edited("4_Dense/config.json", activation_function="torch.nn.modules.activation.Sigmoid"),
        "4_Dense/.*Sigmoid'; the score is what enters it: write Identity here and this name as activation_fn",
    ),
    (edited("4_Dense/config.json", module_output_name="sentence_embedding"), "only 'scores' is followed"),
    (without_file("4_Dense/model.safetensors"), "4_Dense/model.safetensors is missing, and the score is not made up"),
    (without_file("3_LayerNorm/config.json"), "3_LayerNorm/config.json is missing"),
    (weights_edited("4_Dense/model.safetensors", lambda w: w.pop("linear.bias")), r"lacks linear.bias of shape \[1\]"),
    (
        weights_edited("2_Dense/model.safetensors", lambda w: w["linear.weight"].fill_(torch.inf)),
        "2_Dense/model.safetensors holds weights that are not finite",
    ),
    (weights_edited("model.safetensors", lambda w: w.pop("embeddings.LayerNorm.bias")), "1 weights of its encoder"),
    (module_edited(1, type="sentence_transformers.models.CNN"), "type 'sentence_transformers.models.CNN'; read are"),
    (module_edited(1, type="evil.Pooling"), "type 'evil.Pooling'"),
    (module_edited(0, path="0_Transformer"), "only a Transformer at path"),
    (module_edited(2, path="../2_Dense"), "path '../2_Dense'; name a folder of the checkpoint"),
    (module_edited(2, path=".."), "name a folder of the checkpoint"),
    (
        module_edited(2, type="sentence_transformers.models.Transformer"),
        "lists Transformer, Pooling, Transformer, LayerNorm, Dense; read are",
    ),
    (without_module(4), "lists Transformer, Pooling, Dense, LayerNorm; read are"),
    (without_module(1), "lists Transformer, Dense, LayerNorm, Dense; read are"),
    (
        module_edited(4, type="sentence_transformers.cross_encoder.modules.logit_score.LogitScore"),
        r"causal reranker \(LogitScore\)",
    ),
    (
        edited(TRANSFORMER, transformer_task="sequence-classification"),
        "with these modules it must be feature-extraction",
    ),
    (
        edited("config.json", architectures=["Qwen3ForCausalLM"], model_type="qwen3"),
        r"causal reranker \(Qwen3ForCausalLM",
    ),
]
CLASSIFIER_DAMAGE = [
    (
        edited(SETTINGS, prompts={"query": "Find: "}, default_prompt_name="query"),
        f"{SETTINGS} has the default prompt 'query' 'Find: '; it would stand before every query",
    ),
    (edited(SETTINGS, activation_fn="evil.Act"), f"{SETTINGS} has activation_fn 'evil.Act'; known are torch"),
    (edited(TRANSFORMER, do_lower_case=True), f"{TRANSFORMER} has do_lower_case True"),
    (edited(TRANSFORMER, config_args={"num_labels": 1}), "config_args"),
    (edited(TRANSFORMER, tokenizer_args={"padding_side": "left"}), r"tokenizer options \['padding_side'\]"),
    (edited(TRANSFORMER, processing_kwargs={"text": {"max_length": 8}}), "processing_kwargs"),
    (edited(TRANSFORMER, something_new=1), "something_new 1; it is not followed here"),
    (edited(TRANSFORMER, modality_config={"message": {"method": "forward"}}), "modality_config"),
    (edited(TRANSFORMER, transformer_task="fill-mask"), "'fill-mask'; with these modules it must be sequence-class"),
    (edited(TRANSFORMER, transformer_task="text-generation"), r"causal reranker \(text-generation\)"),
    (lambda: (CHECKPOINT / "modules.json").write_text("{"), "JSONDecodeError.*copy them again"),
    (lambda: (CHECKPOINT / SETTINGS).write_text("[1]"), "AttributeError.*correct the value"),
]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Folders of a chain and of a classifier of one output, as `CrossEncoder` saves them."""
    folder = tmp_path_factory.mktemp("saved")
    for name, model in {"chain": random_chain(), "classifier": random_ranker("bert")}.items():
        checkpoints.save_tuned(model, tiny_tokenizer(), folder / name)
    return folder


@pytest.mark.parametrize("kind", ["chain", "classifier"])
def test_what_is_whole_is_accepted(saved, kind):
    shutil.copytree(saved / kind, CHECKPOINT)
    load()


@pytest.mark.parametrize(
    ("kind", "damage", "message"),
    [*(("chain", *case) for case in CHAIN_DAMAGE), *(("classifier", *case) for case in CLASSIFIER_DAMAGE)],
)
def test_what_is_not_followed_is_refused(saved, kind, damage, message):
    shutil.copytree(saved / kind, CHECKPOINT)
    damage()
    with pytest.raises(InputError, match=message):
        load()


@pytest.mark.parametrize(
    "edit",
    [
        edited(SETTINGS, prompts={"query": "Find: "}, default_prompt_name=None),
        edited(SETTINGS, prompts={"query": ""}, default_prompt_name="query"),
        edited(SETTINGS, activation_fn="torch.nn.Sigmoid"),
        edited(TRANSFORMER, do_lower_case=False, max_seq_length=48, model_args={"torch_dtype": "bfloat16"}),
        module_edited(0, type="sentence_transformers.models.Transformer"),
    ],
)
def test_what_changes_no_score_is_accepted(saved, edit):
    shutil.copytree(saved / "classifier", CHECKPOINT)
    edit()
    load()


def test_pooling_in_the_words_of_older_versions(saved):
    shutil.copytree(saved / "chain", CHECKPOINT)
    modes = {"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True, "pooling_mode_max_tokens": False}
    (CHECKPOINT / "1_Pooling/config.json").write_text(json.dumps({"word_embedding_dimension": 16, **modes}))
    assert load()[0].pooling == "mean"


@pytest.mark.parametrize("kind", ["chain", "classifier"])
def test_one_score_is_not_an_output_a_grade(saved, kind):
    shutil.copytree(saved / kind, CHECKPOINT)
    with pytest.raises(InputError, match=r"set finetune\.objective to regression, pairwise or listwise"):
        checkpoints.load_start(tiny_params(model__fine_tuned=True), TEXTS, CPU)


@pytest.mark.parametrize(("outputs", "config"), [(5, {}), (3, {}), (2, {"problem_type": "multi_label_classification"})])
def test_several_outputs_are_not_one_score(outputs, config):
    save_checkpoint(CHECKPOINT, random_classifier("bert", heads=2, num_labels=outputs, **config))
    with pytest.raises(InputError, match=rf"{outputs} outputs \(LABEL_0, .*set finetune.objective to classes"):
        load()


def test_an_embedder_is_an_encoder_to_train_and_no_ranker_as_it_is():
    model = random_ranker("bert").base_model
    save_checkpoint(CHECKPOINT, model)
    kinds = {"": "Transformer", "1_Pooling": "Pooling"}
    modules = [{"path": path, "type": f"sentence_transformers.models.{kind}"} for path, kind in kinds.items()]
    (CHECKPOINT / "modules.json").write_text(json.dumps(modules))
    (CHECKPOINT / SETTINGS).write_text(json.dumps({"model_type": "SentenceTransformer"}))
    with pytest.raises(InputError, match=r"no trained scoring layer \(classifier.bias, classifier.weight are missing"):
        load()
    trained, _ = checkpoints.load_start(ranker_params(model__fine_tuned=False), TEXTS, CPU)
    assert trained.classifier.weight.shape == (1, 16)


def test_code_that_a_file_names_is_never_run(saved):
    shutil.copytree(saved / "chain", CHECKPOINT)
    Path("evil.py").write_text("raise SystemExit('ran')")
    (CHECKPOINT / "evil.py").write_text("raise SystemExit('ran')")
    module_edited(4, type="evil.Dense")()
    with pytest.raises(InputError, match=r"type 'evil.Dense'"):
        load()
