"""Compare runs: what differs between two, or how results spread over three and more.

Two runs are shown in one explorer too, beside the page: reports/comparison_explorer.html.

A RUN is `workspace` (the working tree), a git revision, a DVC experiment's name, or an MLflow run's id or the beginning
of it.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from pipeline.compare.diff import diff_runs
from pipeline.compare.explorers import explorer_page
from pipeline.compare.page import ExplorerLink, diff_page, diff_summary, stability_page, stability_summary
from pipeline.compare.run_results import RunResults, find_run
from pipeline.compare.stability import stability
from pipeline.core import formats, paths
from pipeline.core.environment import complete_environment
from pipeline.core.errors import InputError, describe_refusal

OUTPUT = Path("reports/comparison.html")
EPILOG = """\
exit codes:
  0  done, whether the runs differ or not
  1  unexpected error, with a traceback
  2  user error: the message names the value received and the fix

example: python -m pipeline.compare HEAD workspace"""


def main(arguments: Sequence[str] | None = None) -> int:
    given = _parser().parse_args(arguments)
    complete_environment()
    try:
        if not paths.DVC_YAML.is_file():
            raise InputError(f"{Path.cwd()} is not the project's root: it has no {paths.DVC_YAML}; change to the root")
        runs = _resolved(given.runs)
        _check_file(given.output)
        explorer = _write_explorer(runs, given.output) if len(runs) == 2 else None
        summary, page = _compared(runs, explorer)
        _write(given.output, page)
    except InputError as error:
        print(f"compare: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"compare: {describe_refusal(error)}", file=sys.stderr)
        return 2
    print("\n".join([summary, "", *([explorer.text] if explorer else []), str(given.output)]))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.compare",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("runs", nargs="+", metavar="RUN", help="two runs, or three and more")
    parser.add_argument("--output", type=Path, default=OUTPUT, metavar="PATH", help="the page to write (%(default)s)")
    return parser


def compare_runs(runs: Sequence[RunResults], explorer: ExplorerLink | None = None) -> tuple[str, str]:
    """Compare runs: summary in plain text and page in HTML, of the differences of two runs or the spread over more.

    Args:
        explorer: of two runs.

    Raises:
        InputError: graders and rankers, or three runs or more whose models differ in shape.
    """
    if len(runs) == 2:
        first, second = runs
        comparison = diff_runs(first, second)
        summary = diff_summary(comparison, first.name, second.name)
        return summary, diff_page(comparison, first.name, second.name, explorer)
    spread = stability(runs)
    return stability_summary(spread), stability_page(spread, [run.name for run in runs])


def _resolved(names: Sequence[str]) -> list[RunResults]:
    if len(names) < 2:
        raise InputError(f"{names[0]} alone cannot be compared; name two runs or more")
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise InputError(f"{twice[0]} is named twice; name each run once")
    return [find_run(name) for name in names]


def _write_explorer(runs: Sequence[RunResults], output: Path) -> ExplorerLink:
    """Write the explorer of two runs beside the page; where it cannot be made, only say why."""
    path = output.with_name(f"{output.stem}_explorer{output.suffix}")
    try:
        page = explorer_page(*runs)
    except InputError as error:
        with suppress(OSError):  # a place that cannot be written is told with the page
            path.unlink()  # of two other runs
        return ExplorerLink(None, f"no explorer of both runs: {error}")
    _write(path, page)
    return ExplorerLink(path, f"explorer of both runs: {path}")


def _compared(runs: Sequence[RunResults], explorer: ExplorerLink | None) -> tuple[str, str]:
    """`compare_runs`; where the runs are refused, the error names the explorer, which shows what can be compared."""
    try:
        return compare_runs(runs, explorer)
    except InputError as error:
        raise InputError(f"{error}; {explorer.text}" if explorer else str(error)) from None


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise InputError(f"--output {path} is a folder; name a file")


def _write(path: Path, page: str) -> None:
    try:
        formats.write_text(path, page)
    except InputError as error:
        raise InputError(f"--output {error}, or name another file") from None


if __name__ == "__main__":
    sys.exit(main())
