"""The set-up of .venv: once, again only when what it installs changes, and afresh when it was interrupted."""
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tools import bootstrap

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(os.name == "nt", reason="make is for POSIX systems")
PIP = "pip==1 --hash=sha256:0\n"
PROJECT = """
[build-system]
requires = ["x"]
[project]
name = "virtlab"
dependencies = [{}]
[tool.ruff]
line-length = {}
"""


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A checkout whose set-up only notes what it would do: "make", then the arguments of each pip install."""
    def enter(root):
        for name in ("VENV", "PYTHON", "LOCK", "STAMP"):
            monkeypatch.setattr(bootstrap, name, root / getattr(bootstrap, name).relative_to(bootstrap.ROOT))
        monkeypatch.setattr(bootstrap, "ROOT", root)

    def create(folder, with_pip):
        assert with_pip
        done.append("make")
        (folder / "bin").mkdir()
        (folder / "bin" / "python").symlink_to(sys.executable)

    done = []
    monkeypatch.setattr(venv, "create", create)
    monkeypatch.setattr(bootstrap, "pip", lambda *args: done.append(args[-1].removeprefix(str(bootstrap.ROOT))))
    root = tmp_path / "checkout"
    (root / "binder").mkdir(parents=True)
    (root / "binder" / "requirements.txt").write_text(PIP)
    (root / "pyproject.toml").write_text(PROJECT.format("", 100))
    enter(root)

    def run():
        done.clear()
        bootstrap.main()
        return list(done)

    run.root, run.enter = root, enter
    return run


INSTALL = ["/binder/requirements.txt", ""]  # the lock, then the package itself


def test_the_first_set_up_makes_everything_and_the_second_does_nothing(checkout):
    assert checkout() == ["make", *INSTALL]
    assert checkout() == []


def test_new_file_times_other_line_ends_and_other_tools_settings_change_nothing(checkout):
    checkout()
    for path in (checkout.root / "binder" / "requirements.txt", checkout.root / "pyproject.toml"):
        os.utime(path, (0, 0))
    (checkout.root / "binder" / "requirements.txt").write_bytes(PIP.replace("\n", "\r\n").encode())
    (checkout.root / "pyproject.toml").write_text(PROJECT.format("", 120))
    assert checkout() == []


@pytest.mark.parametrize(("name", "content"), [
    ("binder/requirements.txt", PIP.replace("1", "2")),
    ("pyproject.toml", PROJECT.format('"numpy"', 100)),
])
def test_a_new_pin_or_dependency_refreshes_without_making_anew(checkout, name, content):
    checkout()
    (checkout.root / name).write_text(content)
    assert checkout() == INSTALL
    assert checkout() == []


@pytest.mark.parametrize("refresh", [False, True], ids=["first", "refresh"])
def test_an_interrupted_set_up_starts_afresh(checkout, monkeypatch, refresh):
    if refresh:
        checkout()
        (checkout.root / "binder" / "requirements.txt").write_text(PIP.replace("1", "2"))

    def interrupt(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(bootstrap, "pip", interrupt)
        with pytest.raises(KeyboardInterrupt):
            checkout()
    (checkout.root / ".venv" / "half").write_text("")
    assert checkout() == ["make", *INSTALL]
    assert not (checkout.root / ".venv" / "half").exists() and checkout() == []


def test_a_moved_checkout_starts_afresh(checkout):
    checkout()
    checkout.enter(checkout.root.rename(checkout.root.with_name("moved")))
    assert checkout() == ["make", *INSTALL]


def test_an_environment_whose_python_has_gone_is_made_anew(checkout):
    checkout()
    python = checkout.root / ".venv" / "bin" / "python"
    python.unlink()
    python.symlink_to("/no/such/python")
    assert checkout() == ["make", *INSTALL]


def test_an_environment_that_someone_made_by_hand_is_kept(checkout):
    (checkout.root / ".venv" / "bin").mkdir(parents=True)
    (checkout.root / ".venv" / "bin" / "python").symlink_to(sys.executable)
    assert checkout() == INSTALL


def test_without_ensurepip_it_says_which_package_is_missing(checkout, monkeypatch):
    monkeypatch.setitem(sys.modules, "ensurepip", None)
    with pytest.raises(SystemExit, match="sudo apt install python3-venv"):
        checkout()
    assert not (checkout.root / ".venv").exists()


@pytest.mark.skipif(not shutil.which("make"), reason="no make here")
def test_without_a_python_that_fits_make_says_which_ones_do():
    result = subprocess.run(["make", "setup", "PYTHONS=python0.1"], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 2
    assert "Python 3.11, 3.12, 3.13 or 3.14 is needed" in result.stderr and "python0.1" in result.stderr


@pytest.mark.skipif(not shutil.which("make"), reason="no make here")
def test_every_target_of_the_makefile_is_understood():
    for target in ("help", "lab", "test", "notebooks", "bench", "soak", "lint", "lock", "clean"):
        subprocess.run(["make", "--dry-run", target], cwd=ROOT, check=True, capture_output=True)
