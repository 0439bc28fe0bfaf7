"""How often the statistics are wrong where the truth is known: predictions swapped at random per query.

Swapping clean and masked predictions takes any effect away and leaves everything else: how alike the pairs of a query
are, how many predictions a mask moves, how heads hang together.
"""

import numpy as np
import pandas as pd

from pipeline.analysis.ablation_effects import CHANGE
from pipeline.stats.bootstrap import SIGNIFICANCE, bootstrap, q_values, sign_flips
from pipeline.stats.metrics import changes, sufficient_statistics

GRADES = 5
MEASURED = (CHANGE, "logit_margin_change", "log_loss_change")


def predictions(queries: int, heads: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Clean logits [pair, grade], masked ones [head, pair, grade], grades [pair] and query ids [pair].

    Queries have 2 to 9 titles and a difficulty of their own; a mask moves all titles of a query alike, and its titles
    apart. Some masks do next to nothing, some much.
    """
    rng = np.random.default_rng(seed)
    query_ids = np.repeat(np.arange(queries), rng.integers(2, 10, queries))
    grades = rng.integers(0, GRADES, len(query_ids))
    clean = rng.normal(0, 1, (len(query_ids), GRADES)) + 2.5 * (np.arange(GRADES) == grades[:, None])
    clean += rng.normal(0, 1, (queries, GRADES))[query_ids]
    sizes = np.geomspace(0.3, 3, heads)[:, None, None]
    common, own = rng.normal(0, 1, (heads, queries, GRADES))[:, query_ids], rng.normal(0, 1, (heads, *clean.shape))
    return clean, clean + sizes * (common + own) / np.sqrt(2), grades, query_ids


def calibrate(queries: int, heads: int, repetitions: int) -> pd.Series:
    """Share of repetitions in which any head is declared; share of intervals that hold the truth, 0, by measure."""
    declared, covered = 0, dict.fromkeys(MEASURED, 0)
    for seed in range(repetitions):
        clean, masked, grades, query_ids = predictions(queries, heads, seed)
        swap = (np.random.default_rng([seed, 1]).random(queries) < 0.5)[query_ids, None]
        before, after = np.where(swap, masked, clean), np.where(swap, clean, masked)
        drawn = bootstrap(queries, 1000, seed)
        sums = zip(*(sufficient_statistics(one, grades, query_ids) for one in (before, after)), strict=True)
        for one_before, one_after in sums:
            again = changes(drawn.sums(one_after), drawn.sums(one_before))
            for name in MEASURED:
                low, high = drawn.interval(again[name])
                covered[name] += low <= 0 <= high
        moved = (after.argmax(-1) == grades).astype(float) - (before.argmax(-1) == grades)
        differences = np.stack([np.bincount(query_ids, one) for one in moved]).astype(np.float32)
        declared += bool((q_values(sign_flips(differences, seed)) < SIGNIFICANCE).any())
    shares = {name: count / (heads * repetitions) for name, count in covered.items()}
    return pd.Series({"queries": queries, "declared": declared / repetitions, **shares})
