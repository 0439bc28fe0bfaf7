"""A stage's record as the values of its MLflow run, and which modules need MLflow to write it."""

import ast
from pathlib import Path

from pipeline.tracking.run_record import Record, RunRecord
from tests.support.tracking import report

STAGE = RunRecord("id", "head_ablation", "test", 1, parent="its-parent", tags={"error": "x"})
IMPORT_MLFLOW = ("mlflow_client", "mlflow_reader", "mlflow_writer", "model_registry")
RUN_BY_MLFLOW = Path("pipeline/tracking/scoring_chain_model.py")


def test_what_a_stage_names_but_has_not_is_left_out(project):
    record = Record(metrics={"a": 1, "b": None, "c": float("nan")}, curve=[("d", float("inf"), 1), ("d", 2.0, 2)])
    record.artifacts = [report("reports/there.csv"), Path("reports/absent.csv")]
    record.model, record.tags = Path("data/model"), {"finding.F3": "agrees"}
    filled = STAGE.filled(record)
    assert (filled.metrics, filled.curve) == ({"heads/a": 1.0}, [("heads/d", 2.0, 2)])
    assert (filled.artifacts, filled.model) == (["reports/there.csv"], None)
    assert filled.tags == {"error": "x", "finding.F3": "agrees"}


def test_a_prefix_stands_before_the_metrics_of_its_stage_alone():
    record = Record(metrics={"needed": 5}, curve=[("loss", 1.0, 1)])
    filled = STAGE.filled(record)
    assert (filled.metrics, filled.curve) == ({"heads/needed": 5.0}, [("heads/loss", 1.0, 1)])
    parent = RunRecord("its-parent", "head_ablation", "test", 1)  # a DVC experiment of this name
    assert parent.filled(record).metrics == {"needed": 5.0}


def imports_mlflow(tree: ast.AST) -> bool:
    nodes = list(ast.walk(tree))
    modules = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    modules += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    return any(module.split(".")[0] == "mlflow" for module in modules)


def test_mlflow_is_imported_in_few_modules_and_not_with_them():
    importing = set()
    for path in set(Path("pipeline").rglob("*.py")) - {RUN_BY_MLFLOW}:
        statements = ast.parse(path.read_text(encoding="utf-8")).body
        run = [node for node in statements if not ast.unparse(node).startswith("if TYPE_CHECKING:")]
        importing |= {path for node in run if imports_mlflow(node)}
        assert not any(imports_mlflow(node) for node in run if not isinstance(node, ast.FunctionDef | ast.ClassDef))
    tracking = {Path(f"pipeline/tracking/{name}.py") for name in IMPORT_MLFLOW}
    assert importing == tracking | {Path("pipeline/cleanup/removal.py")}
