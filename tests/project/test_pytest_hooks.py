"""What conftest.py promises: required tests may not skip, slow ones wait to be asked, nbval sees more."""
from pathlib import Path

import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output, writes

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def project(pytester, monkeypatch):
    """An empty project that obeys the same conftest.py and the same pytest settings."""
    monkeypatch.delenv("VIRTLAB_REQUIRE", raising=False)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # quicker
    pytester.makeconftest((ROOT / "conftest.py").read_text(encoding="utf-8"))
    (pytester.path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return pytester


def test_the_skip_of_a_required_test_is_a_failure_that_gives_the_reason(project, monkeypatch):
    (project.mkdir("browser") / "test_whole_module.py").write_text("""
import pytest
pytest.skip("no Chromium", allow_module_level=True)
""")
    project.makepyfile(test_items="""
        import pytest
        pytestmark = pytest.mark.browser
        @pytest.fixture
        def page(): pytest.skip("no Chromium")
        def test_in_a_fixture(page): pass
        def test_in_the_test(): pytest.skip("no Chromium")
        @pytest.mark.skipif(True, reason="no Chromium")
        def test_by_a_mark(): pass
    """)
    every = ("--continue-on-collection-errors", ".")
    assert project.runpytest_subprocess(*every).parseoutcomes() == {"skipped": 4}, "not required: they skip"
    monkeypatch.setenv("VIRTLAB_REQUIRE", "binder, browser")
    result = project.runpytest_subprocess(*every)
    assert result.parseoutcomes() == {"failed": 1, "errors": 3}, "a failure in set-up is called an error"
    assert result.stdout.str().count("VIRTLAB_REQUIRE names browser, so this must run, but: ") >= 4


def test_what_is_not_required_may_still_skip_and_what_is_expected_to_fail_may_still_fail(project, monkeypatch):
    project.makepyfile("""
        import pytest
        @pytest.mark.machine
        def test_machine(): pytest.skip("no KVM")
        @pytest.mark.browser
        @pytest.mark.xfail(reason="known")
        def test_known(): assert False
        @pytest.mark.browser
        def test_runs(): pass
    """)
    monkeypatch.setenv("VIRTLAB_REQUIRE", "browser")
    assert project.runpytest_subprocess(".").parseoutcomes() == {"skipped": 1, "xfailed": 1, "passed": 1}


@pytest.mark.parametrize(("asked", "run"), [
    ([], {"passed": 1, "deselected": 2}),
    (["-m", "bench"], {"passed": 1, "deselected": 2}),
    (["-m", "bench or soak"], {"passed": 2, "deselected": 1}),
], ids=["nothing", "bench", "both"])
def test_benchmarks_and_soak_run_only_when_asked_for(project, asked, run):
    project.makepyfile("""
        import pytest
        def test_quick(): pass
        @pytest.mark.bench
        def test_bench(): pass
        @pytest.mark.soak
        def test_soak(): pass
    """)
    assert project.runpytest_subprocess(*asked, ".").parseoutcomes() == run


def test_labs_are_strict_and_the_owner_of_the_account_has_no_say(project):
    project.makepyfile("""
        import os, pathlib
        def test_environment():
            assert os.environ["VIRTLAB_STRICT"] == "1"
            assert not list(pathlib.Path(os.environ["IPYTHONDIR"]).iterdir())
    """)
    project.runpytest_subprocess(".").assert_outcomes(passed=1)


def nbval(project, *cells, options=()):
    """Run strict nbval over a notebook of these (source, stored outputs)."""
    notebook = new_notebook(cells=[
        new_code_cell(source, outputs=outputs, execution_count=number, id=f"cell-{number}")
        for number, (source, outputs) in enumerate(cells, 1)
    ])
    folder = project.mkdir("notebooks")
    (folder / "some.ipynb").write_text(writes(notebook), encoding="utf-8")
    return project.runpytest_subprocess(
        "-p", "nbval.plugin", "--nbval", "--nbval-current-env",
        "--nbval-cell-timeout=60", "--nbval-kernel-startup-timeout=120",
        "--nbval-sanitize-with", str(ROOT / "tests" / "nbval.cfg"), "-p", "no:cacheprovider", *options, "notebooks",
    )


def test_in_nbval_a_semicolon_hides_the_value(project):
    nbval(project, ("6 * 7;", [])).assert_outcomes(passed=1)


def test_in_nbval_an_unknown_magic_fails_its_cell(project):
    # stderr is stored as IPython writes it: without the guard the outputs agree, and all after the magic is unseen
    stored = [new_output("stream", name="stderr", text="UsageError: Line magic function `%no_such` not found.\n")]
    result = nbval(project, ("%no_such\nassert False", stored))
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines("*IPython usage error*no_such*")


def test_in_nbval_output_may_come_later_than_five_seconds(project):
    project.makepyfile(show="""
        def pytest_collection_finish(session):
            print("output timeouts:", [item.output_timeout for item in session.items])
    """)
    stored = [new_output("stream", name="stdout", text="now\n")]
    result = nbval(project, ("print('now')", stored), options=["-p", "show"])
    result.stdout.fnmatch_lines("*output timeouts: [[]60]*")


def test_in_nbval_a_changed_result_fails(project):
    stored = [new_output("stream", name="stdout", text="0.094 exits per packet\n")]
    nbval(project, ("print('0.375 exits per packet')", stored)).assert_outcomes(failed=1)
