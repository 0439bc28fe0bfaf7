"""Made-up results of the stages before the report, plausible and of any size, for the tests of what is drawn."""

import numpy as np
import pandas as pd

from pipeline.reporting.results import Results, Showcase

FUNCTIONS = ["term_match", "segmentation", "previous_term", "next_term", "self", "cls", "sep", "cross_text", "entropy"]
CHANCES = dict(zip(FUNCTIONS, [0.06, 0.08, 0.07, 0.07, 0.04, 0.04, 0.08, 0.5, 1.0], strict=True))
PAIRS, BASELINE = 400, 0.9
ENGLISH_TEXT = "[CLS] cheap train from york to bath [SEP] train tickets york to bath , cheap fares daily [SEP]"
CHINESE_TEXT = "[CLS] 上 海 到 北 京 高 铁 票 [SEP] 北 京 到 上 海 的 高 铁 车 票 价 格 查 询 与 预 订 [SEP]"
ENGLISH, CHINESE = ENGLISH_TEXT.split(), CHINESE_TEXT.split()


def measures(change: float) -> dict[str, float]:
    """The measures of one intervention that changes accuracy relatively by `change`."""
    return {
        "accuracy": BASELINE * (1 + change),
        "relative_accuracy_change": change,
        "qwk": 0.93 + change,
        "qwk_change": change,
        "mae": 0.12 - change,
        "mae_change": -change,
        "log_loss": 0.3 - 2 * change,
        "log_loss_change": -2 * change,
        "right_to_wrong": np.maximum(0, np.round(-change * 300)) + 2,
        "wrong_to_right": np.maximum(0, np.round(change * 300)) + 2,
    }


def heads_frame(layers: int = 6, heads: int = 12, seed: int = 0) -> pd.DataFrame:
    """Every head about 0, but one that costs 5.2% and one that costs 2.9%."""
    changes = np.random.default_rng(seed).normal(0, 0.003, (layers, heads)).clip(-0.009, 0.009)
    changes[layers // 2, 1], changes[-1, 0] = -0.052, -0.029
    return pd.DataFrame(
        {"layer": layer, "head": head, **measures(float(change))} for (layer, head), change in np.ndenumerate(changes)
    )


def group_row(experiment: str, group: str, change: float, draw: int = 0, masked: int = 5, collapsed: bool = False):
    counts = [0, 0, PAIRS, 0, 0] if collapsed else [90, 60, 100, 70, 80]
    return {
        "experiment": experiment,
        "group": group,
        "draw": draw,
        "heads_masked": masked,
        "members": " ".join(f"1.{head}" for head in range(masked)),
        **measures(change),
        **{f"predicted_{grade}": count for grade, count in enumerate(counts)},
    }


def groups_frame(layers: int = 6, seed: int = 0) -> pd.DataFrame:
    """All experiments, with changes near those that the article reports."""
    noise = np.random.default_rng(seed).normal
    rows = [group_row("baseline", "baseline", 0.0, masked=0)]
    losses = [0.0, 0.01, 0.03, 0.07, 0.14, 0.25, 0.42, 0.6, 0.72]
    for share, loss in enumerate(losses, start=1):
        rows += [
            group_row("random_share", str(share / 10), -loss + noise(0, 0.1 * loss), d, 7 * share) for d in range(5)
        ]
    rows += [group_row("layer", str(layer), noise(-0.02, 0.01), masked=12) for layer in range(layers)]
    rows += [group_row("half", "lower", -0.63, masked=36, collapsed=True), group_row("half", "upper", -0.31, masked=36)]
    functions = {
        "term_match": -0.455,
        "segmentation": -0.08,
        "previous_term": -0.12,
        "next_term": -0.1,
        "word_order": -0.2,
    }
    rows += [group_row("function", name, change) for name, change in functions.items()]
    rows += [group_row("lower_except", name, min(change + 0.4, -0.02) - 0.1) for name, change in functions.items()]
    rows += [group_row("random_k", "random", float(noise(-0.01, 0.01)), draw) for draw in range(10)]
    rows += [group_row("user", "<b>mine</b> & $x$", -0.03)]
    return pd.DataFrame(rows)


def profiles_frame(layers: int = 6, heads: int = 12, seed: int = 0) -> pd.DataFrame:
    """Scores about chance, one strong head a function in layer 0 or 1; term_match grows, self and sep shrink."""
    random = np.random.default_rng(seed)
    moves = {"term_match": 1.2, "self": 0.8, "sep": 0.9}
    rows = []
    for index, function in enumerate(FUNCTIONS):
        before = (
            random.beta(2, 2 / CHANCES[function], (layers, heads))
            if function != "entropy"
            else random.beta(6, 2, (layers, heads))
        )
        before[index % 2, index % heads] = 0.6
        after = np.clip(before * moves.get(function, 1.02), 0, 1)
        for phase, scores in (("before", before), ("after", after)):
            rows += [
                {
                    "layer": layer,
                    "head": head,
                    "function": function,
                    "phase": phase,
                    "score": score,
                    "chance": CHANCES[function],
                }
                for (layer, head), score in np.ndenumerate(scores)
            ]
    return pd.DataFrame(rows)


def showcase(tokens: list[str], layers: int = 6, heads: int = 12, seed: int = 0, **texts: str) -> Showcase:
    random = np.random.default_rng(seed)
    size = len(tokens)
    before, after = (random.dirichlet(np.full(size, 0.2), (layers, heads, size)).astype(np.float16) for _ in range(2))
    words = {"query": " ".join(tokens[1:5]), "title": " ".join(tokens[6:-1])} | texts
    return Showcase(grade=3, tokens=tokens, before=before, after=after, **words)


def results(layers: int = 6, heads: int = 12, pairs: list[Showcase] | None = None, showcase_heads: int = 1) -> Results:
    return Results(
        setting=[("Data", "generated, en"), ("Model", "embedded"), ("Epochs", "2")],
        grades=["1", "2", "3", "4", "5"],
        heads=heads_frame(layers, heads),
        groups=groups_frame(layers),
        profiles=profiles_frame(layers, heads),
        curve=pd.DataFrame(
            {"epoch": [1, 2], "train_loss": [0.9, 0.4], "dev_accuracy": [0.8, 0.88], "dev_qwk": [0.9, 0.94]}
        ),
        prepare={"train_pairs": 4500, "dev_pairs": 900, "test_pairs": 1500, "rejected_duplicate": 3},
        finetune={"test_accuracy": 0.9, "test_qwk": 0.93, "dev_accuracy": 0.91, "undefined": {}},
        attention={"dev_pairs": 900, "term_match_pairs": 800},
        showcase=[showcase(ENGLISH, layers, heads)] if pairs is None else pairs,
        showcase_heads=showcase_heads,
    )
