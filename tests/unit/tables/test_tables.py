"""The tables' definitions: their page is the committed one, and they name what the code that fills them names."""

from pathlib import Path

import pytest

from pipeline.ablation import cls_attention, head_groups
from pipeline.ablation.head_groups import Group
from pipeline.analysis import ablation_effects
from pipeline.attention import attention_shift, head_functions, head_labels
from pipeline.core.run_names import FINDING_IDS
from pipeline.core.schemas import Table
from pipeline.data import deduplication
from pipeline.findings.article import CLAIMS
from pipeline.stats.grading_measures import described
from pipeline.stats.measure_sets import GRADER
from pipeline.tables import attention, dependency, group_ablation, head_ablation, prepare
from tests.table_dictionary import ARRAYS, PAGE, RECORDS, TABLES, dictionary


def values(table: Table, name: str) -> tuple[str, ...]:
    return next(column.values for column in table.columns if column.name == name)


def test_the_committed_page_is_that_of_the_definitions():
    assert PAGE.read_text(encoding="utf-8") == dictionary(), "run `python -m tests.table_dictionary`"


def test_a_file_has_one_definition_and_a_column_one_name():
    files = [(one.path, one.title) for one in (*TABLES, *RECORDS, *ARRAYS)]
    assert len(files) == len(set(files))
    for table in TABLES:
        names = [column.name for column in table.columns]
        assert len(names) == len(set(names)), table.path


@pytest.mark.parametrize("path", sorted(Path("reports").rglob("*.csv")), ids=str)
def test_every_committed_table_is_as_defined(path: Path):
    table = next(table for table in TABLES if table.path == path)
    table.check(table.read())


def test_texts_are_those_of_the_code():
    assert attention.FUNCTION.values == head_functions.FUNCTIONS
    assert values(attention.PROFILES, "phase") == head_labels.PHASES
    assert {*values(attention.ATTENTION_SHIFT, "direction"), ""} == {
        attention_shift.UP,
        attention_shift.DOWN,
        attention_shift.STILL,
    }
    assert values(attention.TERM_MATCH_SHIFT, "function") == attention_shift.SHIFTED
    assert values(head_ablation.HEADS["grader"], "verdict") == ablation_effects.VERDICTS
    assert values(prepare.REJECTED, "reason") == deduplication.REASONS


def test_columns_are_those_that_the_code_makes():
    grades = ["recall_0", "recall_1"]
    for table in (
        tables["grader"] for tables in (head_ablation.HEADS, head_ablation.KEPT_HEADS, group_ablation.GROUPS)
    ):
        names = [column.name for column in table.expanded(grades)]
        assert {*(measure.change for measure in (*GRADER.tested, *described(2))), *grades} <= set(names)
    groups = [column.name for column in group_ablation.GROUPS["grader"].columns]
    assert groups[:6] == head_groups.group_frame([Group("user", "mine", ())]).columns.tolist()
    shifts = [column.name for column in dependency.SHIFTS][::3]
    assert tuple(name.removesuffix("_change") for name in shifts) == cls_attention.QUANTITIES


def test_the_findings_have_the_ids_of_the_articles_claims():
    assert tuple(CLAIMS) == FINDING_IDS
