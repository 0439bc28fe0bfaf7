import numpy as np
import pytest
import torch

from pipeline.ablation import sweep_cache
from pipeline.ablation.encoder import AblatableEncoder
from pipeline.ablation.engine import AblationEngine
from pipeline.core.formats import read_safetensors
from pipeline.models.families import FAMILIES
from pipeline.models.inference import collate
from tests.support.builders import ablation_engine, random_classifier, random_pairs
from tests.support.reference import masked_heads

MASKS = np.random.default_rng(0).choice([0.0, 1.0], (4, 3, 3))


class FirstKeys:
    """Keeps [CLS]'s attention to the first four positions, which every pair has."""

    layers = (2, 0)

    def reduce(self, layer: int, rows: torch.Tensor) -> torch.Tensor:
        return rows[..., :4]

    def take(self, pairs: np.ndarray) -> "FirstKeys":
        return self


@pytest.mark.parametrize("family", FAMILIES)
def test_observed_rows_equal_the_frameworks_eager_attention(family):
    model, pairs = random_classifier(family, layers=3), random_pairs([5, 9, 5, 12])
    found = ablation_engine(model, 60).evaluate(pairs, MASKS, observer=FirstKeys()).cls_attention
    assert found.shape == (5, 4, 2, 3, 4)  # unmasked and masks, pair, layer, head, key
    model.set_attn_implementation("eager")
    for number, mask in enumerate([np.ones((3, 3)), *MASKS]):
        for pair in range(len(pairs)):
            with masked_heads(model, mask), torch.inference_mode():
                attentions = model(
                    **collate(pairs, np.array([pair]), 0, model.device), output_attentions=True
                ).attentions
            for place, layer in enumerate(FirstKeys.layers):
                expected = attentions[layer][0, :, 0, :4].numpy()
                np.testing.assert_allclose(found[number, pair, place], expected, atol=1e-5)


@pytest.mark.parametrize("unit_interventions", [2, 100])
def test_some_masks_alone_are_observed(unit_interventions):
    """The rest of the masks leave no rows, and all give their logits as without an observer."""
    model, pairs, observed = (
        random_classifier("bert", layers=3),
        random_pairs([5, 9, 5, 12]),
        [False, True, False, True],
    )
    engine = ablation_engine(model, 60, unit_interventions=unit_interventions)
    every = engine.evaluate(pairs, MASKS, observer=FirstKeys())
    some = engine.evaluate(pairs, MASKS, observer=FirstKeys(), observed=np.array(observed))
    np.testing.assert_allclose(some.cls_attention, every.cls_attention[[True, *observed]], atol=1e-5)
    np.testing.assert_allclose(some.logits, engine.evaluate(pairs, MASKS).logits, atol=1e-5)


class Killed(Exception):
    pass


class KilledAfterTwo(sweep_cache.SweepCache):
    def save(self, number, arrays):
        if number == 2:
            raise Killed
        super().save(number, arrays)


def test_a_killed_sweep_resumes_and_gives_the_same_bits(tmp_path, monkeypatch):
    model, pairs = random_classifier("bert", layers=3), random_pairs([5, 9, 5, 12, 7, 6])
    encoder, folder = AblatableEncoder.from_pretrained_model(model), tmp_path / "sweep"
    whole = AblationEngine(encoder, 60).evaluate(pairs, MASKS, observer=FirstKeys())
    with pytest.raises(Killed):
        AblationEngine(encoder, 60, KilledAfterTwo(folder)).evaluate(pairs, MASKS, observer=FirstKeys())
    assert sorted(file.name for file in folder.iterdir()) == ["0.safetensors", "1.safetensors"]

    evaluated = []
    embed_pairs = type(encoder).embed_pairs
    monkeypatch.setattr(
        type(encoder), "embed_pairs", lambda self, *args: evaluated.append(args[1]) or embed_pairs(self, *args)
    )
    with sweep_cache.disk_cache(tmp_path, "sweep") as kept:
        resumed = AblationEngine(encoder, 60, kept).evaluate(pairs, MASKS, observer=FirstKeys())
        assert set(read_safetensors(folder / "4.safetensors")) == {"logits", "cls_attention"}
    assert not folder.exists()
    assert len(evaluated) == 3  # five lengths are five chunks; two were finished
    assert whole.logits.tobytes() == resumed.logits.tobytes()
    assert whole.cls_attention.tobytes() == resumed.cls_attention.tobytes()


def test_the_key_follows_weights_pairs_and_interventions():
    model, pairs = random_classifier("bert"), random_pairs([5, 9])
    keys = {
        sweep_cache.sweep_key(model, "float32", pairs.ids, MASKS),
        sweep_cache.sweep_key(model, "bfloat16", pairs.ids, MASKS),
        sweep_cache.sweep_key(model, "float32", pairs.ids[::-1], MASKS),
        sweep_cache.sweep_key(model, "float32", pairs.ids, MASKS * 0.5),
        sweep_cache.sweep_key(random_classifier("bert", seed=1), "float32", pairs.ids, MASKS),
    }
    assert len(keys) == 5
    assert sweep_cache.sweep_key(random_classifier("bert"), "float32", random_pairs([5, 9]).ids, MASKS.copy()) in keys
