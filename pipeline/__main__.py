"""``python -m pipeline STAGE`` runs one stage of dvc.yaml. Exit code 0 done, 2 something the user can mend."""

import argparse
import importlib
import os
import sys

from pipeline import tracking
from pipeline.core import process
from pipeline.core.config import Params, load_params
from pipeline.core.errors import InputError

STAGES = (
    "prepare",
    "finetune",
    "baseline",
    "attention",
    "head_ablation",
    "group_ablation",
    "dependency",
    "report",
    "publish",
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m pipeline", description=__doc__)
    parser.add_argument("stage", choices=STAGES)
    name = parser.parse_args().stage
    process.raise_on_sigterm()
    process.end_with_dvc()
    try:
        params = load_params()
        _stay_offline(params)
        stage = importlib.import_module(f"pipeline.stages.{name}")
        with process.stage_lock(name), tracking.stage(name, params) as record:
            stage.main(params, record)
    except InputError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 2
    except OSError as error:  # the machine's doing, such as a full temporary folder: nothing a traceback would tell
        print(f"{name}: {error}; free or mend what it names", file=sys.stderr)
        return 2
    return 0


def _stay_offline(params: Params) -> None:
    """Forbid the model hub, before transformers is imported, where nothing in the params names it."""
    from pipeline.core.config import is_local

    names = [name for name in (params.model.name, params.model.base) if name is not None]
    if all(is_local(name) for name in names):
        os.environ["HF_HUB_OFFLINE"] = "1"


if __name__ == "__main__":
    sys.exit(main())
