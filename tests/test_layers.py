"""The packages are a tower: each imports only from those below it, so a reader may begin anywhere and look down."""

from pathlib import Path

import pytest

from tests.support.imports import imported_names

# From top to bottom; packages of one line do not import each other.
LAYERS = (
    ("stages",),
    ("rerun", "cleanup", "pruning_study"),
    ("compare",),
    ("report",),
    ("findings",),
    ("pruning", "export"),
    ("analysis",),
    ("ablation",),
    ("attention",),
    ("baselines",),
    ("models",),
    ("data",),
    ("tracking",),
    ("tables",),
    ("stats",),
    ("core",),
)
HEIGHT = {package: -level for level, packages in enumerate(LAYERS) for package in packages}
FILES = sorted(path for path in Path("pipeline").rglob("*.py") if len(path.parts) > 2)
LOOKING = {"rerun", "compare", "cleanup", "pruning_study"}
# The stages that may import what stands on the results of all others.
ON_TOP = {("publish", "compare"), ("publish", "rerun")}


def imported_packages(file: Path) -> set[str]:
    """The packages below pipeline/ that a file imports, wherever in the file."""
    return {name.split(".")[1] for name in imported_names(file) if name.startswith("pipeline.")}


def test_every_package_has_its_place():
    assert {file.parts[1] for file in FILES} == set(HEIGHT)


@pytest.mark.parametrize("file", FILES, ids=str)
def test_imports_run_downwards(file: Path):
    package = file.parts[1]
    others = imported_packages(file) - {package}
    assert {other for other in others if HEIGHT[other] >= HEIGHT[package]} == set()


@pytest.mark.parametrize("file", [file for file in FILES if file.parts[1] == "stages"], ids=str)
def test_only_publish_imports_what_looks_at_whole_runs(file: Path):
    looking = {(file.stem, package) for package in imported_packages(file) & LOOKING}
    assert looking <= ON_TOP


def test_only_stages_and_commands_use_tracking_and_the_stages_are_used_by_none():
    users = {file.parts[1] for file in FILES if "tracking" in imported_packages(file)}
    assert users <= {"stages", "rerun", "cleanup", "compare", "tracking"}
