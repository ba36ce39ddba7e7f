"""Imports run downwards only, and a bare `import virtlab` stays light."""
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PICTURES = {"cli", "sweep", "labs", "figures", "lessons", "machine"}  # every other room runs anywhere
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]


def lint_imports(root):
    command = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    return subprocess.run([sys.executable, "-c", command, "--no-cache"], cwd=root, capture_output=True, text=True,
                          env=os.environ | {"PYTHONPATH": str(root), "COLUMNS": "120"})


def test_imports_run_downwards_only_and_no_model_needs_a_picture():
    result = lint_imports(ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(("room", "forbidden"), [
    ("core", "virtlab.paths"),
    ("paths", "virtlab.labs"),
    ("evidence", "matplotlib"),
    ("paths", "ipywidgets"),
])
def test_an_import_that_runs_upwards_is_found(tmp_path, room, forbidden):
    shutil.copytree(ROOT / "virtlab", tmp_path / "virtlab", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "virtlab" / room / "planted.py").write_text(f"import {forbidden}\n", encoding="utf-8")
    result = lint_imports(tmp_path)
    assert result.returncode == 1 and f"virtlab.{room}.planted" in result.stdout, result.stdout + result.stderr


def test_no_model_is_forgotten_in_the_contract():
    light = next(contract for contract in CONTRACTS if contract["id"] == "models-run-anywhere")["source_modules"]
    rooms = {path.parent.name for path in (ROOT / "virtlab").glob("*/__init__.py")}
    assert {name.removeprefix("virtlab.") for name in light} == rooms - PICTURES


def test_import_virtlab_loads_no_heavy_library():
    heavy = ["matplotlib", "ipywidgets", "numba", "IPython", "joblib", "scipy", "pandas"]
    code = f"import sys, virtlab; print(sorted(set({heavy}) & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"
