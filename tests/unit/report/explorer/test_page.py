"""The page's bytes: what it may run, and that no text of the data is markup."""

import base64
import hashlib
import re
from dataclasses import replace

from pipeline.report.explorer.build import build_explorer
from pipeline.report.explorer.page import BUNDLE, render_page
from tests.support.explorer import explorer_inputs

HOSTILE = "</script><script>alert(1)</script><b>bold</b>"


def test_texts_of_the_data_cannot_become_markup():
    page = render_page(build_explorer(explorer_inputs(queries=[HOSTILE]), shown=3, mib=2))
    assert "alert(1)" not in page
    assert page.count("</script>") == 2


def test_warnings_of_a_run_stand_before_everything():
    inputs = explorer_inputs()
    few = replace(inputs.results, head_ablation=inputs.results.head_ablation | {"queries": 12}, unsegmented=["<Thai>"])
    page = render_page(build_explorer(replace(inputs, results=few), shown=3, mib=2))
    said = page[: page.index('<div id="app">')]
    assert "<p>The effects come from 12 queries only; with fewer than 30, their intervals are too narrow.</p>" in said
    assert "<p>Words of &lt;Thai&gt; text" in said


def test_a_model_that_knows_nothing_is_said_to():
    inputs = explorer_inputs()
    tables = inputs.results.tables
    useless = replace(tables, group_scales=tables.group_scales.assign(way_high=0.1))
    said = [replace(inputs.results, tables=of).warnings for of in (tables, useless)]
    assert [len(warnings) for warnings in said] == [0, 1]
    assert "not shown to grade better than one that knows the grades' shares alone" in said[1][0]


def test_the_policy_names_the_script_and_the_style_alone():
    page = render_page(build_explorer(explorer_inputs(), shown=3, mib=2))
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    script, style = re.search(r"<script>(.*?)</script>", page, re.S), re.search(r"<style>(.*?)</style>", page, re.S)
    assert policy is not None
    assert script is not None
    assert style is not None
    hashes = [base64.b64encode(hashlib.sha256(part[1].encode()).digest()).decode() for part in (script, style)]
    assert policy[1] == (
        f"default-src 'none'; script-src 'sha256-{hashes[0]}'; style-src 'sha256-{hashes[1]}'; img-src data:"
    )


def test_the_same_inputs_give_the_same_bytes():
    pages = {render_page(build_explorer(explorer_inputs(), shown=3, mib=2)) for _ in range(2)}
    assert len(pages) == 1


def test_the_script_is_small():
    assert (BUNDLE / "main.js").stat().st_size < 60_000
