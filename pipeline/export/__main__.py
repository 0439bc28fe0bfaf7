"""Write a model that the pipeline saved as an ONNX file.

exit codes:
  0  done
  2  user error in the command or the folder
"""

import argparse
import sys
from pathlib import Path

from pipeline.core import paths
from pipeline.core.environment import complete_environment
from pipeline.core.errors import InputError


def main() -> int:
    arguments = _parser().parse_args()
    complete_environment()
    # Models' libraries take seconds to import, which --help need not wait for.
    import torch

    from pipeline.export.onnx_model import export_onnx
    from pipeline.models.checkpoints import load_tuned

    try:
        export_onnx(*load_tuned(arguments.model, torch.device("cpu")), arguments.onnx)
    except InputError as error:
        print(f"export: {error}", file=sys.stderr)
        return 2
    print(f"export: wrote {arguments.onnx}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.export", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, help=f"its folder: {paths.MODEL}, {paths.PRUNED_MODEL}")
    parser.add_argument("onnx", type=Path, help="the file to write")
    return parser


if __name__ == "__main__":
    sys.exit(main())
