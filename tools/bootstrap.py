"""Makes or refreshes .venv from the lock; does nothing when nothing changed. Needs only a Python 3.11 to 3.14.

Whether something changed is read from a stamp in .venv: a hash of what was installed, never a file time. While a
set-up runs, the stamp says so: one that was interrupted starts afresh the next time.
"""
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
LOCK = ROOT / "binder" / "requirements.txt"
STAMP = VENV / "virtlab-stamp.txt"
BUSY = "set-up in progress"


def wanted() -> str:
    """The place, and a hash of all that decides what is installed: the lock and the package's own description."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    described = json.dumps([project["build-system"], project["project"]], sort_keys=True)
    lock = LOCK.read_text(encoding="utf-8")  # as text: git may have changed the line ends
    return f"{ROOT}\n{hashlib.sha256((lock + described).encode()).hexdigest()}"


def usable() -> bool:
    """Whether .venv has a Python that the lock supports, and a pip."""
    probe = "import sys, pip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))"
    return PYTHON.exists() and subprocess.run([str(PYTHON), "-c", probe], capture_output=True).returncode == 0


def pip(*arguments: str) -> None:
    command = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *arguments]
    if code := subprocess.run(command, cwd=ROOT).returncode:
        sys.exit(f"\nThe set-up stopped: pip install {' '.join(arguments)} ended with {code}; its message is above.\n"
                 "The first set-up needs the network. Run the same command again: it starts afresh.")


def main() -> None:
    stamp = STAMP.read_text(encoding="utf-8") if STAMP.exists() else ""
    want = wanted()
    if stamp == want and PYTHON.exists():
        return
    moved = stamp and not stamp.startswith(f"{ROOT}\n")  # its scripts name the place; an interrupted one has none
    make = moved or not usable()
    if make:
        try:
            import ensurepip  # noqa: F401  (Debian and Ubuntu split it off)
            import venv
        except ImportError:
            sys.exit(f"{sys.executable} cannot make a virtual environment: its ensurepip module is missing.\n"
                     "Debian and Ubuntu keep it in a package of its own:  sudo apt install python3-venv")
        print("Setting up .venv, once (about 1 GB on disk, one to three minutes) ...", flush=True)
        if VENV.exists():
            shutil.rmtree(VENV)
        VENV.mkdir()
    else:
        print("The pinned versions changed: refreshing .venv ...", flush=True)
    STAMP.write_text(BUSY, encoding="utf-8")
    if make:
        venv.create(VENV, with_pip=True)
    pip("--require-hashes", "-r", str(LOCK))
    pip("--no-deps", "--no-build-isolation", "-e", str(ROOT))
    STAMP.write_text(want, encoding="utf-8")


if __name__ == "__main__":
    main()
