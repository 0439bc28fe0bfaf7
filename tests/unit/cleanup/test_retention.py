"""Which runs cleanup may take, against small histories judged by hand."""

from dataclasses import replace

from pipeline.cleanup.retention import Run, plan


def parent(name: str, start: int, *links: str, is_published: bool = True) -> Run:
    return Run(name, name, None, start, is_published, links=frozenset(links))


def stage(name: str, of: str, start: int) -> Run:
    return Run(name, name, of, start)


def removed(runs: list[Run], keep: int, *protected: str) -> list[str]:
    return [run.id for run in plan(runs, keep, protected).removed]


# Every parent run ran both of its stages.
APART = [
    run
    for start, name in enumerate("abc")
    for run in (
        parent(name, start, f"{name}1", f"{name}2"),
        stage(f"{name}1", name, start),
        stage(f"{name}2", name, start),
    )
]


def test_older_parents_go_with_their_stages_first():
    assert removed(APART, 1) == ["a1", "a2", "b1", "b2", "b", "a"]
    assert removed(APART, 2) == ["a1", "a2", "a"]
    assert removed(APART, 3) == removed(APART, 9) == []
    assert [run.id for run in plan(APART, 2, []).kept] == ["c", "b"]


def test_a_run_that_a_kept_parent_links_to_stays_with_its_own():
    shared = [replace(run, links=frozenset({"a1", "c2"})) if run.id == "c" else run for run in APART]
    planned = plan(shared, 1, [])
    assert [run.id for run in planned.removed] == ["a2", "b1", "b2", "b"]
    assert [run.id for run in planned.shared] == ["a"]


def test_what_a_removed_parent_links_to_goes():
    chain = [replace(run, links=frozenset({"a1", "b2"})) if run.id == "b" else run for run in APART]
    assert removed(chain, 1) == ["a1", "a2", "b1", "b2", "b", "a"]


def test_a_protected_run_stays_with_its_parent():
    assert removed(APART, 1, "a2", "elsewhere") == ["a1", "b1", "b2", "b"]


def test_unpublished_parents_go_where_they_are_older_than_the_newest_kept():
    failed = [parent("old", 1, is_published=False), stage("old1", "old", 1), parent("new", 9, "a2", is_published=False)]
    assert removed([*APART, *failed], 2) == ["a1", "old1", "old"]  # a2 is new's


def test_what_is_still_written_stays():
    running = [replace(run, is_busy=True) if run.id in ("a1", "b") else run for run in APART]
    assert removed(running, 1) == []


def test_stages_whose_parent_is_gone_go_too():
    orphans = [stage("old", "gone", 0), stage("new", "gone since", 9)]
    assert removed([*APART, *orphans], 3) == ["old"]


def test_nothing_goes_before_a_parent_is_published():
    assert removed([parent("a", 1, is_published=False), stage("a1", "a", 1), stage("orphan", "gone", 0)], 1) == []
