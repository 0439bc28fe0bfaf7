"""Description of a parent run in Markdown: params, quality of the model, effects of heads, findings.

Plain data in, text out. The stages follow once MLflow knows which run computed each.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from textwrap import shorten

TAG = "mlflow.note.content"  # what the UI shows as a run's description
LENGTH = 5000  # characters; what every MLflow of the last years takes in a tag
HEADS = 24  # named at most
SPLITS = ("train", "dev", "test")
GRADERS = {"BERT": "grading", "The BiLSTM": "bilstm"}  # name -> prefix of its metrics
RANKING_PEERS = {"the BiLSTM": "bilstm", "BM25": "bm25"}  # name -> in its metric's
MEASURED = 140  # characters of what a finding measured

Numbers = Mapping[str, float | int | None]
Effect = tuple[str, float, str]  # a head's short name, relative headline change without it, verdict


@dataclass(frozen=True)
class Stage:
    """A stage of a parent run. seconds: duration of the run that computed it, None where no run is known."""

    name: str
    seconds: float | None
    is_cached: bool


def describe(
    params: Mapping[str, str], metrics: Numbers, effects: Sequence[Effect], findings: Sequence[Mapping[str, str]]
) -> str:
    """Describe a parent run, without its stages.

    Args:
        params: dotted name -> value. metrics: headline metrics. effects: single heads masked.
        findings: id, statement, measured and verdict of each. Whatever is missing is left out.
    """
    parts = [_run(params, metrics), _quality(metrics), *_unconverged(metrics), *_heads(effects), _findings(findings)]
    return "\n\n".join(part for part in parts if part)


def with_stages(text: str, stages: Sequence[Stage]) -> str:
    """Add a table of the stages to `text`, cut to the length of a tag."""
    rows = []
    for stage in stages:
        seconds = "" if stage.seconds is None else f"{stage.seconds:.1f}"
        rows.append([stage.name, "cached" if stage.is_cached else "run now", seconds])
    table = f"The stages:\n\n{_table(['stage', '', 'seconds'], rows)}" if rows else ""
    return f"{text[: LENGTH - len(table) - 2]}\n\n{table}".strip()


def ran(stages: Sequence[Stage]) -> str:
    """Stages that ran now, as text."""
    names = [stage.name for stage in stages if not stage.is_cached]
    return "all" if len(names) == len(stages) else ", ".join(names) or "none"


def _run(params: Mapping[str, str], metrics: Numbers) -> str:
    here = params.get("model.fine_tuned", "false") == "false"
    passes = f"fine-tuned{_epochs(metrics)}" if here else "as it is, without fine-tuning"
    source = params.get("data.source", "?")
    language = f" ({params['data.generated.language']})" if source == "generated" else ""
    pairs = {split: metrics.get(f"data/{split}_pairs") for split in SPLITS}
    counts = ", ".join(f"{count} {split}" for split, count in pairs.items() if count is not None)
    text = f"`{params.get('model.name', '?')}` {passes}"
    text += f" on `{source}`{language}" + (f": {counts} pairs." if counts else ".")
    masked = metrics.get("heads/pairs")
    return text if masked is None else f"{text} Heads masked on {masked} test pairs."


def _epochs(metrics: Numbers) -> str:
    best, trained = (metrics.get(f"grading/{name}") for name in ("best_epoch", "epochs"))
    return "" if best is None else f" (epoch {best} of {trained})"


def _unconverged(metrics: Numbers) -> Iterator[str]:
    """A line for each grader whose best epoch was the last one allowed."""
    for grader, prefix in GRADERS.items():
        if metrics.get(f"{prefix}/converged") == 0:
            best = metrics.get(f"{prefix}/best_epoch")
            yield f"**{grader} not converged**: the best epoch, {best}, is the last allowed; raise training.max_epochs."


def _quality(metrics: Numbers) -> str:
    accuracy, ndcg = (metrics.get(f"grading/test_{name}") for name in ("accuracy", "ndcg_at_10"))
    if accuracy is not None:
        return _grading_quality(accuracy, metrics)
    return "" if ndcg is None else _ranking_quality(ndcg, metrics)


def _grading_quality(accuracy: float, metrics: Numbers) -> str:
    graded = f"Grades **{accuracy:.1%}** of the test pairs right{_qwk(metrics.get('grading/test_qwk'))}"
    peers = {
        "the BiLSTM": (metrics.get("bilstm/test_accuracy"), metrics.get("bilstm/test_qwk")),
        "words alone": (metrics.get("grading/test_tfidf_accuracy"), None),
        "the most frequent grade": (metrics.get("grading/test_majority_accuracy"), None),
    }
    others = [f"{name} {share:.1%}{_qwk(kappa)}" for name, (share, kappa) in peers.items() if share is not None]
    return f"{graded}; {', '.join(others)}." if others else f"{graded}."


def _ranking_quality(ndcg: float, metrics: Numbers) -> str:
    mrr = metrics.get("grading/test_mrr_at_10")
    ranked = f"nDCG@10 **{ndcg:.3f}** on the test queries" + ("" if mrr is None else f" (MRR@10 {mrr:.3f})")
    peers = {name: metrics.get(f"headline/{peer}_test_ndcg_at_10") for name, peer in RANKING_PEERS.items()}
    others = [f"{name} {value:.3f}" for name, value in peers.items() if value is not None]
    return f"{ranked}; {', '.join(others)}." if others else f"{ranked}."


def _qwk(kappa: float | None) -> str:
    return "" if kappa is None else f" (kappa {kappa:.2f})"


def _heads(effects: Sequence[Effect]) -> list[str]:
    """Lines on needed and harmful heads, the strongest first."""
    lines = []
    for verdict, sign in (("needed", 1), ("harmful", -1)) if effects else ():
        heads = sorted((effect for effect in effects if effect[2] == verdict), key=lambda effect: sign * effect[1])
        named = ", ".join(f"{head} ({change:+.1%})" for head, change, _ in heads[:HEADS])
        more = f" and {len(heads) - HEADS} more" if len(heads) > HEADS else ""
        lines.append(f"{len(heads)} of {len(effects)} heads {verdict}" + (f": {named}{more}." if heads else "."))
    return lines


def _findings(findings: Sequence[Mapping[str, str]]) -> str:
    rows = []
    for finding in findings:
        measured = shorten(finding["measured"], MEASURED, placeholder=" ...")
        rows.append([finding["id"], finding["statement"], measured, f"**{finding['verdict']}**"])
    return f"The article's findings:\n\n{_table(['', 'finding', 'this run', 'verdict'], rows)}" if rows else ""


def _table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
