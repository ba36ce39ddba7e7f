"""The habits that a machine can hold: ruff, mypy, a wheel with its data, licences, citation, and the CI files."""
import datetime
import os
import re
import shutil
import stat
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def text(name):
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("command", [["ruff", "check", "--no-cache"], ["mypy"]], ids=lambda command: command[0])
def test_linted(command):
    result = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_wheel_holds_every_module_and_data_file_and_nothing_else(tmp_path):
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)], cwd=ROOT,
                   capture_output=True, check=True)
    held = {name for name in zipfile.ZipFile(next(tmp_path.glob("*.whl"))).namelist() if ".dist-info/" not in name}
    ours = {path.relative_to(ROOT).as_posix() for path in (ROOT / "virtlab").rglob("*")
            if path.is_file() and "__pycache__" not in path.parts and path.suffix not in {".nbi", ".nbc"}}
    assert held == ours
    assert {Path(name).suffix for name in held} >= {".py", ".toml", ".csv"}


def test_the_licences_are_mit_for_code_and_cc_by_for_text():
    assert text("LICENSE").startswith("MIT License\n")
    prose = text("LICENSE-TEXT")
    assert prose.startswith("Attribution 4.0 International\n") and "Section 8 -- Interpretation." in prose
    assert PROJECT["license-files"] == ["LICENSE", "LICENSE-TEXT"]


def test_the_citation_is_valid_and_names_the_version_of_the_package():
    citation = yaml.safe_load(text("CITATION.cff"))
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= set(citation), "the schema requires them"
    assert all({"name"} == set(a) or {"family-names", "given-names"} <= set(a) for a in citation["authors"])
    assert citation["type"] == "software" and citation["license"] == ["MIT", "CC-BY-4.0"]
    assert citation["version"] == PROJECT["version"]
    assert isinstance(citation["date-released"], datetime.date)


def test_pre_commit_needs_no_network():
    hooks = yaml.safe_load(text(".pre-commit-config.yaml"))
    assert {repo["repo"] for repo in hooks["repos"]} == {"local"}
    assert {hook["language"] for repo in hooks["repos"] for hook in repo["hooks"]} == {"system"}


def workflows():
    return {path.name: yaml.safe_load(path.read_text(encoding="utf-8"))
            for path in (ROOT / ".github" / "workflows").glob("*.yml")}


def test_ci_runs_on_three_systems_oldest_and_newest_python_and_every_week():
    tests = workflows()["tests.yml"]
    jobs = str(tests["jobs"])
    for system in ("ubuntu", "macos", "windows"):
        assert f"{system}-" in jobs
    for python in ("3.11", "3.14"):
        assert f"'{python}'" in jobs
    assert any(".ci/run" in step.get("run", "") for job in tests["jobs"].values() for step in job["steps"])
    assert tests[True]["schedule"], "`on` is read as true"


def test_every_ci_job_has_a_time_limit_and_few_rights():
    for name, workflow in workflows().items():
        assert workflow["permissions"] == {"contents": "read"}, name
        for job in workflow["jobs"].values():
            assert job["timeout-minutes"] <= 120, name


def test_ci_run_is_an_executable_that_requires_browser_and_binder_and_calls_the_command_of_the_readme():
    script = text(".ci/run")
    assert os.name == "nt" or os.stat(ROOT / ".ci" / "run").st_mode & stat.S_IXUSR
    assert script.startswith("#!/usr/bin/env bash\n") and "set -euo pipefail" in script
    assert {"browser", "binder"} <= set(re.search(r"VIRTLAB_REQUIRE=(\S+)", script)[1].split(","))
    assert re.search(r"^make test$", script, re.MULTILINE)


@pytest.mark.skipif(not shutil.which("bash"), reason="no bash here")
@pytest.mark.parametrize("name", [".ci/run", "binder/postBuild", "binder/start"])
def test_shell_scripts_parse_and_have_unix_line_ends(name):
    assert b"\r" not in (ROOT / name).read_bytes()
    subprocess.run(["bash", "-n", str(ROOT / name)], check=True)
