"""Run the pipeline again, for cron and CI: pull, dvc repro, compare with the run published last, report what changed.

exit codes:
  0  nothing changed, or only within the limits of params.yaml; also where there is nothing to compare with
  1  unexpected error, with a traceback
  2  user error in params.yaml or the command; a file that cannot be read or written
  3  a limit is broken
  4  a stage, or dvc itself, failed
  5  another rerun holds the lock
  6  the pull from the DVC remote failed
  129, 130, 143  stopped by SIGHUP, SIGINT or SIGTERM; dvc and its stage were ended first
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from pipeline.compare.run_results import run_in_folder
from pipeline.core import paths
from pipeline.core.config import load_params
from pipeline.core.environment import complete_environment
from pipeline.core.errors import InputError, describe_refusal
from pipeline.rerun.dvc_process import Dvc, DvcOutcome, LockHeld, StoppedBySignal, pull, recorded_signals, rerun_lock
from pipeline.rerun.previous import NothingToCompare, previous_run
from pipeline.rerun.summary import (
    KEPT,
    LIMIT_BROKEN,
    LOCK_HELD,
    PULL_FAILED,
    SIGNALLED,
    STAGE_FAILED,
    TO_FIX,
    RerunReport,
    judge_rerun,
)
from pipeline.rerun.torn_lock import mend_lock
from pipeline.stats.measure_sets import measure_set
from pipeline.tracking.api import roll_back_model
from pipeline.tracking.execution import milliseconds, tracking_folder
from pipeline.tracking.provenance import PUBLISH

MODELS = {"finetune": "registered model's", "pruning": "pruned model's"}  # stages that make one, and whose alias it is


def main() -> int:
    arguments = _parser().parse_args()
    complete_environment()
    try:
        if not paths.DVC_YAML.is_file():
            raise InputError(f"{paths.DVC_YAML} is missing; run from the project's root")
        with recorded_signals() as signals, rerun_lock(tracking_folder() / "rerun.lock") as lock:
            report = _report(Dvc(lock, signals, tracking_folder() / "rerun.log"), arguments.force)
            report.publish(arguments.summary)
    except InputError as error:
        print(f"rerun: {error}", file=sys.stderr)
        return TO_FIX
    except OSError as error:
        print(f"rerun: {describe_refusal(error)}", file=sys.stderr)
        return TO_FIX
    except LockHeld as error:
        print(f"rerun: {error}", file=sys.stderr)
        return LOCK_HELD
    return report.code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.rerun", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--force", action="store_true", help="run every stage, changed or not: dvc repro --force")
    parser.add_argument(
        "--summary", type=Path, default=paths.RERUN, metavar="PATH", help="Markdown file to write (%(default)s)"
    )
    return parser


def _report(dvc: Dvc, force: bool) -> RerunReport:
    try:
        return _rerun(dvc, ["--force"] if force else [])
    except InputError as error:
        return RerunReport(TO_FIX, "something to fix", output=str(error))
    except StoppedBySignal as error:
        return RerunReport(SIGNALLED + error.signal, str(error))


def _rerun(dvc: Dvc, options: list[str]) -> RerunReport:
    params, start = load_params(), milliseconds()
    before, why_none = None, ""
    try:
        before = previous_run(measure_set(params.is_ranker).kind)
    except NothingToCompare as error:
        why_none = str(error)
    mended = [line] if (line := mend_lock()) else []
    if failure := pull(dvc):
        return RerunReport(PULL_FAILED, "the pull failed", mended, failure)
    done = dvc.run("repro", *options)
    if done.code:
        failed = f"stage {done.failed_stage}" if done.failed_stage else "dvc"
        return RerunReport(STAGE_FAILED, f"{failed} failed", [_ran(done), *mended], done.message)
    if before is None:
        return RerunReport(KEPT, "done, nothing to compare with", [_ran(done), why_none, *mended])
    report = judge_rerun(before, run_in_folder("this run", Path()), params.limits)
    points = [*report.points, _ran(done), *mended]
    if report.code == LIMIT_BROKEN:
        for stage in [stage for stage in MODELS if stage in done.ran]:
            version = roll_back_model(params.run.experiment, stage, start)
            points += [f"the {MODELS[stage]} alias is back at version {version}"] if version else []
    return replace(report, points=points)


def _ran(done: DvcOutcome) -> str:
    stages = [stage for stage in done.ran if stage != PUBLISH]
    return f"stages that ran: {', '.join(stages) or 'none'}"


if __name__ == "__main__":
    sys.exit(main())
