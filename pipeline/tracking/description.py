"""What a pipeline's row says of itself, in Markdown: what was run, how good it is, what its heads showed.

Plain data in, text out. The stages follow once MLflow knows which run computed each.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

TAG = "mlflow.note.content"  # what the UI shows as a run's description
LENGTH = 5000  # characters; what every MLflow of the last years takes in a tag
HEADS = 24  # named at most
SPLITS = ("train", "dev", "test")
MEASURED = 140  # characters of what a finding measured

Numbers = Mapping[str, float | int | None]
Effect = tuple[int, int, float, str]  # layer, head, relative change of accuracy without it, verdict


@dataclass(frozen=True)
class Stage:
    """seconds: how long the run that computed it took, None where no run is known."""

    name: str
    seconds: float | None
    is_cached: bool


def describe(
    params: Mapping[str, str], metrics: Numbers, effects: Sequence[Effect], findings: Sequence[Mapping[str, str]]
) -> str:
    """All but the stages.

    Args:
        params: dotted name -> value. metrics: headline metrics. effects: every head masked alone.
        findings: id, statement, measured and verdict of each. Whatever is missing is left out.
    """
    parts = [_run(params, metrics), _quality(metrics), *_heads(effects), _findings(findings)]
    return "\n\n".join(part for part in parts if part)


def with_stages(text: str, stages: Sequence[Stage]) -> str:
    """`text` and a table of the stages, cut to what a tag holds."""
    rows = [[stage.name, "cached" if stage.is_cached else "run now", _seconds(stage.seconds)] for stage in stages]
    table = f"The stages:\n\n{_table(['stage', '', 'seconds'], rows)}" if rows else ""
    return f"{text[: LENGTH - len(table) - 2]}\n\n{table}".strip()


def ran(stages: Sequence[Stage]) -> str:
    """Which stages were run now, in a few words."""
    names = [stage.name for stage in stages if not stage.is_cached]
    return "all" if len(names) == len(stages) else ", ".join(names) or "none"


def _run(params: Mapping[str, str], metrics: Numbers) -> str:
    epochs = params.get("finetune.epochs", "?")
    passes = f"{epochs} epoch{'' if epochs == '1' else 's'}"
    tuned = "as it is, without fine-tuning" if epochs == "0" else f"fine-tuned for {passes}"
    source = params.get("data.source", "?")
    language = f" ({params['data.generated.language']})" if source == "generated" else ""
    pairs = {split: metrics.get(f"{split}_pairs", metrics.get(f"prepare.{split}_pairs")) for split in SPLITS}
    counts = ", ".join(f"{count} {split}" for split, count in pairs.items() if count is not None)
    text = f"`{params.get('model.name', '?')}` {tuned} on `{source}`{language}" + (
        f": {counts} pairs." if counts else "."
    )
    masked = metrics.get("heads_pairs")
    return text if masked is None else f"{text} Heads masked on {masked} test pairs."


def _quality(metrics: Numbers) -> str:
    accuracy = metrics.get("test_accuracy")
    if accuracy is None:
        return ""
    graded = f"Grades **{accuracy:.1%}** of the test pairs right{_qwk(metrics.get('test_qwk'))}"
    peers = {
        "the BiLSTM baseline": (metrics.get("baseline_test_accuracy"), metrics.get("baseline_test_qwk")),
        "words alone": (metrics.get("test_tfidf_accuracy"), None),
        "the most frequent grade": (metrics.get("test_majority_accuracy"), None),
    }
    others = [f"{name} {share:.1%}{_qwk(kappa)}" for name, (share, kappa) in peers.items() if share is not None]
    return f"{graded}; {', '.join(others)}." if others else f"{graded}."


def _qwk(kappa: float | None) -> str:
    return "" if kappa is None else f" (kappa {kappa:.2f})"


def _heads(effects: Sequence[Effect]) -> list[str]:
    """One line a verdict that matters, the strongest heads first."""
    lines = []
    for verdict, sign in (("needed", 1), ("harmful", -1)):
        found = sorted((effect for effect in effects if effect[3] == verdict), key=lambda effect: sign * effect[2])
        named = ", ".join(f"{layer}.{head} ({change:+.1%})" for layer, head, change, _ in found[:HEADS])
        more = f" and {len(found) - HEADS} more" if len(found) > HEADS else ""
        if effects:
            lines.append(f"{len(found)} of {len(effects)} heads {verdict}" + (f": {named}{more}." if found else "."))
    return lines


def _findings(findings: Sequence[Mapping[str, str]]) -> str:
    rows = [
        [finding["id"], finding["statement"], _cut(finding["measured"]), f"**{finding['verdict']}**"]
        for finding in findings
    ]
    return f"The article's findings:\n\n{_table(['', 'finding', 'this run', 'verdict'], rows)}" if rows else ""


def _cut(text: str) -> str:
    """At most MEASURED characters, whole words."""
    return text if len(text) <= MEASURED else f"{text[: MEASURED - 4].rsplit(' ', 1)[0]} ..."


def _seconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.1f}"


def _table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
