"""docs/pruning.md from the study's results."""

import textwrap
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pipeline.core.heads import Head

WIDTH = 120  # characters of a line of text
TEMPLATE = Path(__file__).parent / "page.md"
CHOSEN = {
    "search": "the search, trained again",
    "random": "drawn at random, trained again",
    "not_recovered": "the search, not trained again",
    "whole": "nothing gone, trained again",
}
TARGETS = {"grades": "the grades", "predictions": "the whole model's predictions as they were (distillation)"}
AGAINST = {"search": "the same steps", "random": "the same steps", "not_recovered": "as it was", "whole": "as it was"}


def page(study: dict[str, Any]) -> str:
    """The page in Markdown."""
    seeds = study["seeds"]
    filled = {
        "machine": study["machine"],
        "data": study["data"],
        "model": study["model"],
        "measure": seeds[0]["measure"],
        "pairs": f"{seeds[0]['pairs']:,}",
        "margin": f"{study['margin']:g}",
        "epochs": study["epochs"],
        "learning_rate": f"{study['learning_rate']:g}",
        "targets": TARGETS[study["targets"]],
        "search_pairs": study["search_pairs"],
        "seeds": str(len(seeds)),
        "note": textwrap.fill(study["note"], WIDTH) + "\n\n" if study["note"] else "",
        "outcome": _outcome(seeds),
        "ladders": "\n\n".join(_ladder(seed) for seed in seeds),
        "beside": _beside(seeds),
        "frequency": _frequency(seeds),
        "latency": _latency(study["latency"]),
        "sizes": ", ".join(f"{name} {size / 1e6:.1f} MB" for name, size in study["sizes"].items()),
        "onnx_difference": f"{max(study['onnx_difference'].values()):.1e}",
    }
    text = TEMPLATE.read_text(encoding="utf-8")
    for name, value in filled.items():
        text = text.replace(f"{{{{ {name} }}}}", str(value))
    return text


def _outcome(seeds: Sequence[dict[str, Any]]) -> str:
    rows = []
    for seed in seeds:
        last = next((rung for rung in reversed(seed["ladder"]) if rung["passed"]), seed["ladder"][0])
        passed = "passes" if last["passed"] else "fails"
        rows.append(
            [
                seed["seed"],
                seed["device"],
                f"{seed['whole']:.4f}",
                f"{seed['whole_trained']:.4f}",
                f"{last['heads_removed']} of {seed['heads']}",
                last["blocks_removed"],
                f"{last['parameters_removed']:.0%}",
                f"{last['change']:+.4f}",
                f"{last['worst']:+.4f}",
                passed,
            ]
        )
    columns = ["seed", "computed by", "whole", "whole, trained on", "heads gone", "blocks gone", "of the parameters"]
    return _table([*columns, "change", "at worst", ""], rows)


def _ladder(seed: dict[str, Any]) -> str:
    rows = [
        [
            f"{rung['heads_removed']} heads, {rung['blocks_removed']} blocks",
            f"{rung['parameters_removed']:.0%}",
            f"{rung['change']:+.4f}",
            f"{rung['worst']:+.4f}",
            "passes" if rung["passed"] else f"fails: {', '.join(rung['failing'])}".replace("all all", "all pairs"),
        ]
        for rung in seed["ladder"]
    ]
    return f"Seed {seed['seed']}:\n\n" + _table(["gone", "of the parameters", "change", "at worst", ""], rows)


def _beside(seeds: Sequence[dict[str, Any]]) -> str:
    rows = []
    for seed in seeds:
        for name, said in CHOSEN.items():
            sets = [row for row in seed["beside"] if row["chosen_by"] == name]
            changes, divergences = ([row[key] for row in sets] for key in ("change", "divergence"))
            gone = sets[0]["heads_removed"]
            rows.append(
                [seed["seed"], said, gone, AGAINST[name], _listed(changes, "+.4f"), _listed(divergences, ".3f")]
            )
    return _table(["seed", "set", "heads gone", "against the whole model", "change", "KL divergence (nats)"], rows)


def _listed(values: Iterable[float], form: str) -> str:
    return ", ".join(f"{value:{form}}" for value in values)


def _frequency(seeds: Sequence[dict[str, Any]]) -> str:
    counts = Counter(tuple(head) for seed in seeds for head in seed["removed_heads"])
    rows = []
    for count in range(len(seeds), 0, -1):
        heads = sorted(head for head, times in counts.items() if times == count)
        names = ", ".join(Head(*head).short for head in heads) or "none"
        rows.append([f"{count} of {len(seeds)}", len(heads), names])
    return _table(["goes in", "heads", ""], rows)


def _latency(rows: Sequence[dict[str, Any]]) -> str:
    by_place = {(row["threads"], row["batch"], row["model"], row["runtime"]): row for row in rows}
    models, runtimes = (list(dict.fromkeys(row[key] for row in rows)) for key in ("model", "runtime"))
    lines = []
    for threads, batch in dict.fromkeys((row["threads"], row["batch"]) for row in rows):
        cells: list[Any] = [threads, batch]
        for runtime in runtimes:
            quoted = [by_place[threads, batch, model, runtime] for model in models]
            cells += [f"{row['p50_ms']:.1f} ({row['p95_ms']:.1f})" for row in quoted]
            cells.append(f"{quoted[0]['p50_ms'] / quoted[1]['p50_ms']:.2f}")
        lines.append(cells)
    heads = [[*(f"{runtime}, {model}" for model in models), "ratio"] for runtime in runtimes]
    return _table(["threads", "batch", *(name for names in heads for name in names)], lines)


def _table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)
