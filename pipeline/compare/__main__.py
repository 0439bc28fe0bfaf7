"""``python -m pipeline.compare A B [C ...]``: what differs between two runs, or what stays over several.

A run is `workspace` (the working tree), a git revision, a DVC experiment's name, or an MLflow run's id or the beginning
of it. Exit code 0 done, 2 something the user can mend.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from pipeline.compare.diff import diff_runs
from pipeline.compare.page import diff_page, diff_summary, stability_page, stability_summary
from pipeline.compare.run_results import RunResults, find_run
from pipeline.compare.stability import stability
from pipeline.core import formats
from pipeline.core.errors import InputError

OUTPUT = Path("reports/comparison.html")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m pipeline.compare", description=__doc__)
    parser.add_argument("runs", nargs="+", metavar="RUN", help="two runs, or three and more")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="the page; %(default)s by default")
    given = parser.parse_args(arguments)
    try:
        summary, page = compare_runs(_resolved(given.runs))
        _write(given.output, page)
    except InputError as error:
        print(f"compare: {error}", file=sys.stderr)
        return 2
    print(f"{summary}\n\n{given.output}")
    return 0


def compare_runs(outcomes: Sequence[RunResults]) -> tuple[str, str]:
    """The summary in plain text and the page in HTML: of two runs a comparison, of more what stays and what moves.

    Raises:
        InputError: three runs or more whose models differ in shape.
    """
    names = [outcome.name for outcome in outcomes]
    if len(outcomes) == 2:
        two = diff_runs(*outcomes)
        return diff_summary(two, *names), diff_page(two, *names)
    several = stability(outcomes)
    return stability_summary(several), stability_page(several, names)


def _resolved(names: Sequence[str]) -> list[RunResults]:
    if len(names) < 2:
        raise InputError(f"{names[0]} alone cannot be compared; name two runs or more")
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise InputError(f"{twice[0]} is named twice; name each run once")
    return [find_run(name) for name in names]


def _write(path: Path, page: str) -> None:
    if path.is_dir():
        raise InputError(f"--output {path} is a folder; name a file")
    try:
        formats.write_text(path, page)
    except InputError as error:
        raise InputError(f"--output {error}, or name another file") from None


if __name__ == "__main__":
    sys.exit(main())
