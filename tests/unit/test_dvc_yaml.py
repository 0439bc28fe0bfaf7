"""dvc.yaml against the code: a stage runs again where code that can change its outputs changed, and only there."""

import ast
import inspect
import textwrap
from pathlib import Path

import pytest
import yaml

from pipeline.__main__ import STAGES
from pipeline.core.config import Params
from tests.support.imports import imported_names

DECLARED = yaml.safe_load(Path("dvc.yaml").read_text(encoding="utf-8"))["stages"]
# The packages that can change an output; those of operations.lock, export.lock and tools.lock cannot.
COMPUTE_LOCKS = ["locks/compute.lock", "locks/torch.lock"]
LOCKS = {"report": ["locks/compute.lock", "locks/report.lock", "locks/torch.lock"], "publish": []}
# Imported by stages, but unable to change the bytes of an output: what is tracked, checked, locked, named or said.
PLUMBING = {
    Path("pipeline/__init__.py"),
    Path("pipeline/__main__.py"),
    Path("pipeline/ablation/engine_check.py"),
    Path("pipeline/core/atomic.py"),
    Path("pipeline/core/config.py"),  # it checks params.yaml, whose values are dependencies by themselves
    Path("pipeline/core/errors.py"),
    Path("pipeline/core/file_content.py"),
    Path("pipeline/core/interpreter.py"),
    Path("pipeline/core/paths.py"),
    Path("pipeline/core/process.py"),
    Path("pipeline/tracking"),
}


COMPUTE = "compute"  # a section that changes no byte of an output: tests/unit/ablation/test_workers.py


def module_file(name: str) -> Path | None:
    """The file of a dotted module name of this project, None for anything else."""
    path = Path(*name.split("."))
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file() and name.split(".")[0] == "pipeline":
            return candidate
    return None


def imported(file: Path) -> set[Path]:
    """The project's files that one file imports, packages' __init__ included, wherever in the file."""
    names = imported_names(file)
    parents = {".".join(name.split(".")[:depth]) for name in names for depth in range(1, name.count(".") + 2)}
    return {found for name in parents if (found := module_file(name))}


def closure(stage: str) -> set[Path]:
    """Every file of the project that a stage's work runs; what only the plumbing imports is none of it."""
    pending = [Path(f"pipeline/stages/{stage}.py")]
    seen: set[Path] = set()
    while pending:
        file = pending.pop()
        if file not in seen:
            seen.add(file)
            pending += () if is_plumbing(file) else imported(file)
    return seen


def is_plumbing(file: Path) -> bool:
    """Whether the file cannot change an output: one of PLUMBING, or an __init__ that only describes its package."""
    return bool(PLUMBING & {file, *file.parents}) or (file.name == "__init__.py" and not imported(file))


def code_dependencies(stage: str) -> list[str]:
    """What dvc.yaml has to list for the stage: the closure without the plumbing, folders mostly needed as a whole."""
    needed = {file for file in closure(stage) if not is_plumbing(file)}
    listed: set[Path] = set()
    for file in needed:
        folder = Path(*file.parts[:2])
        files = {other for other in folder.rglob("*.py") if other.name != "__init__.py" or imported(other)}
        is_whole = folder.is_dir() and 3 * len(files & needed) >= 2 * len(files)
        listed.add(folder if is_whole else file)
    return sorted(path.as_posix() for path in listed)


def leaves(chain: str) -> set[str]:
    """The leaves that a section's property is made of (``data.source`` of ``data.slice_columns``), else the chain."""
    section, _, name = chain.partition(".")
    if isinstance(whole := getattr(Params, section, None), property):  # of several sections
        tree = ast.parse(textwrap.dedent(inspect.getsource(whole.fget)))
        chains = (ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute))
        return {chain.removeprefix("self.") for chain in chains if chain.count(".") == 2}
    member = getattr(Params.model_fields[section].annotation, name, None) if name else None
    if not isinstance(member, property):
        return {chain}
    tree = ast.parse(textwrap.dedent(inspect.getsource(member.fget)))
    return {
        f"{section}.{node.attr}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "self"
    }


def params_read(stage: str) -> set[str]:
    """Sections (``data``) and leaves (``run.seed``) of Params that the stage reads or hands on."""
    module = Path(f"pipeline/stages/{stage}.py")
    helpers = ("models", "attention", "ablation", "analysis")
    files = [module, *(file for file in imported(module) if file.parts[1] in helpers)]
    trees = [ast.parse(file.read_text(encoding="utf-8")) for file in files]
    chains = {
        ".".join(chain.split(".")[1:3])
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and (chain := ast.unparse(node)).startswith("params.")
    }
    chains = set().union(*map(leaves, chains))
    return {chain for chain in chains if not any(other.startswith(f"{chain}.") for other in chains)}


def test_the_stages_are_those_of_the_command_line_in_order():
    assert tuple(DECLARED) == STAGES


@pytest.mark.parametrize("stage", [stage for stage in STAGES if stage != "publish"])
def test_a_stage_depends_on_the_code_that_can_change_its_outputs(stage):
    assert [dep for dep in DECLARED[stage]["deps"] if dep.startswith("pipeline/")] == code_dependencies(stage)


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_the_locks_of_the_packages_that_can_change_its_outputs(stage):
    assert [dep for dep in DECLARED[stage]["deps"] if dep.startswith("locks")] == LOCKS.get(stage, COMPUTE_LOCKS)


@pytest.mark.parametrize("stage", [stage for stage in STAGES if stage != "publish"])
def test_params_that_a_stage_reads_are_declared(stage):
    declared = DECLARED[stage]["params"]
    for chain in params_read(stage) - {COMPUTE}:
        covered = any(chain == key or chain.startswith(f"{key}.") or key.startswith(f"{chain}.") for key in declared)
        assert covered, f"{stage} reads params.{chain}, which dvc.yaml does not declare for it"


@pytest.mark.parametrize("stage", STAGES)
def test_no_stage_runs_again_for_another_number_of_workers(stage):
    assert not [key for key in DECLARED[stage].get("params", []) if key.split(".")[0] == COMPUTE]


def test_what_sweeps_depend_on_besides_is_read_below_other_sections():
    """Threads and units change last bits: the stages that sweep depend on them."""
    for stage in ("head_ablation", "group_ablation", "dependency", "pruning"):
        assert COMPUTE in params_read(stage)
        declared = {"ablation.threads", "ablation.unit_interventions"} & set(DECLARED[stage]["params"])
        assert len(declared) == 2 or "ablation" in DECLARED[stage]["params"]


def test_the_closure_sees_imports_inside_functions_and_through_packages():
    assert Path("pipeline/core/config.py") in closure("prepare")
    assert Path("pipeline/core/errors.py") in closure("prepare")
    assert Path("pipeline/ablation/engine.py") not in closure("prepare")


@pytest.mark.parametrize("stage", ["prepare", "finetune", "attention", "head_ablation", "group_ablation", "dependency"])
def test_editing_tracking_or_report_or_findings_reruns_no_computation(stage):
    assert not [dep for dep in code_dependencies(stage) if dep.split("/")[1] in ("tracking", "report", "findings")]
