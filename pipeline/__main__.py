"""Run one stage of dvc.yaml by hand. DVC does not know of that, and runs the stage again."""

import argparse
import importlib
import os
import sys
from contextlib import suppress
from pathlib import Path

import yaml

from pipeline import tracking
from pipeline.core import paths, process
from pipeline.core.config import load_params
from pipeline.core.environment import complete_environment
from pipeline.core.errors import InputError, describe_refusal
from pipeline.core.run_names import METRIC_PREFIXES
from pipeline.tracking.provenance import PUBLISH

STAGES = (*METRIC_PREFIXES, PUBLISH)
EXIT_CODES = """\
exit codes:
  0    done
  1    unexpected: a traceback says what
  2    something that you can fix: one line says where, what was received and the fix
  130  interrupted (Ctrl-C)"""


def main() -> int:
    name = _parser().parse_args().stage
    complete_environment()
    process.raise_on_sigterm()
    process.end_with_dvc()
    try:
        params = load_params()
        if params.model.is_local:  # before transformers is imported, which else asks the hub
            os.environ["HF_HUB_OFFLINE"] = "1"
        with process.collection_paused():
            stage = importlib.import_module(f"pipeline.stages.{name}")
        with process.stage_lock(name), tracking.stage(name, params) as record:
            stage.main(params, record)
    except InputError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 2
    except OSError as error:  # the machine's doing, such as a full temporary folder
        print(f"{name}: {describe_refusal(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{name}: interrupted; dvc repro goes on where it was", file=sys.stderr)
        return 130
    if name != PUBLISH:  # which writes no file, and has a summary of its own
        written = [*record.dataset, *record.artifacts, *([record.model] if record.model else [])]
        print(f"{name}: wrote {', '.join(str(path) for path in written if path.exists())}")
    return 0


def _parser() -> argparse.ArgumentParser:
    stages = "\n".join(f"  {name:16}{purpose}" for name, purpose in _purposes().items())
    parser = argparse.ArgumentParser(
        prog="python -m pipeline",
        description=__doc__,
        epilog=f"stages, in order:\n{stages}\n\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("stage", choices=STAGES, metavar="STAGE")
    return parser


def _purposes() -> dict[str, str]:
    """Stage -> what dvc.yaml says that it does; empty where that cannot be read."""
    declared: dict[str, dict[str, str]] = {}
    with suppress(OSError, ValueError, yaml.YAMLError, TypeError, KeyError):
        text = Path(__file__).parents[1].joinpath(paths.DVC_YAML).read_text(encoding="utf-8")
        declared = yaml.safe_load(text)["stages"]
    return {name: declared.get(name, {}).get("desc", "") for name in STAGES}


if __name__ == "__main__":
    sys.exit(main())
