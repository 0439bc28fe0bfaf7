"""dvc.yaml against the code: a stage that reads something it does not declare would not be run again."""

import ast
from pathlib import Path

import pytest
import yaml

from pipeline.__main__ import STAGES

DECLARED = yaml.safe_load(Path("dvc.yaml").read_text(encoding="utf-8"))["stages"]


def module_file(name: str) -> Path | None:
    """The file of a dotted module name of this project, None for anything else."""
    path = Path(*name.split("."))
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file() and name.split(".")[0] == "pipeline":
            return candidate
    return None


def imported(file: Path) -> set[Path]:
    """The project's files that one file imports, packages' __init__ included, wherever in the file."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    parents = {".".join(name.split(".")[:depth]) for name in names for depth in range(1, name.count(".") + 2)}
    return {found for name in parents if (found := module_file(name))}


def closure(stage: str) -> set[Path]:
    """Every file of the project that runs when the stage does."""
    pending = [Path("pipeline/__main__.py"), Path(f"pipeline/stages/{stage}.py"), Path("pipeline/stages/__init__.py")]
    seen: set[Path] = set()
    while pending:
        file = pending.pop()
        if file not in seen:
            seen.add(file)
            pending += imported(file)
    return seen


def params_read(stage: str) -> set[str]:
    """Sections (``data``) and leaves (``base.seed``) of Params that the stage reads or hands them on for."""
    module = Path(f"pipeline/stages/{stage}.py")
    files = [module, *(file for file in imported(module) if file.parts[1] == "model")]
    trees = [ast.parse(file.read_text(encoding="utf-8")) for file in files]
    chains = {
        ".".join(chain.split(".")[1:3])
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and (chain := ast.unparse(node)).startswith("params.")
    }
    return {chain for chain in chains if not any(other.startswith(f"{chain}.") for other in chains)}


def test_the_stages_are_those_of_the_command_line_in_order():
    assert tuple(DECLARED) == STAGES


@pytest.mark.parametrize("stage", STAGES)
def test_deps_are_the_imports_of_the_stage_and_the_lock_file(stage):
    listed = [Path(dep) for dep in DECLARED[stage]["deps"] if dep.startswith("pipeline/")]
    needed = closure(stage)
    covers = {dep: {file for file in needed if dep in (file, *file.parents)} for dep in listed}
    assert sorted(needed.difference(*covers.values())) == [], "imported, but not in deps"
    assert [dep for dep, files in covers.items() if not files] == [], "in deps, but not imported"
    assert "requirements.lock" in DECLARED[stage]["deps"]


@pytest.mark.parametrize("stage", [stage for stage in STAGES if stage != "publish"])
def test_params_that_a_stage_reads_are_declared(stage):
    declared = DECLARED[stage]["params"]
    for chain in params_read(stage):
        covered = any(chain == key or chain.startswith(f"{key}.") or key.startswith(f"{chain}.") for key in declared)
        assert covered, f"{stage} reads params.{chain}, which dvc.yaml does not declare for it"


def test_the_closure_sees_imports_inside_functions_and_through_packages():
    assert Path("pipeline/model/names.py") in closure("prepare")
    assert Path("pipeline/errors.py") in closure("prepare")
    assert Path("pipeline/model/engine.py") not in closure("prepare")
