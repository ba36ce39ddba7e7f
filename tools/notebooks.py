"""Executes the notebooks in place and writes them in one canonical form: run twice, the bytes are the same.

    python tools/notebooks.py                          all of notebooks/
    python tools/notebooks.py notebooks/01_*.ipynb     some
    python tools/notebooks.py --check                  writes nothing; says which file would change, and fails

The kernel is the Python that runs this, without any setting, start-up file or history of its owner. No widget state is
kept: where no kernel runs, the picture and the sentence beside each widget are shown.
"""
from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
CELL_TIMEOUT_S = 120
KERNELSPEC = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
LANGUAGE_INFO = {  # as ipykernel gives it, without the Python version, which differs from machine to machine
    "codemirror_mode": {"name": "ipython", "version": 3},
    "file_extension": ".py",
    "mimetype": "text/x-python",
    "name": "python",
    "nbconvert_exporter": "python",
    "pygments_lexer": "ipython3",
}
_READABLE = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_RANDOM = re.compile(r"[0-9a-f]{8}|[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")  # nbformat's, uuid's


class NotebookError(Exception):
    """A notebook that cannot be made canonical; the message names file and cell."""


def id_faults(nb: nbformat.NotebookNode) -> list[str]:
    """What is wrong with the cell ids: each must be there, be unique and be a readable name such as `predict-exits`."""
    faults, seen = [], set()
    for number, cell in enumerate(nb.cells, 1):
        name = cell.get("id", "")
        if not name:
            faults.append(f"cell {number} has no id")
        elif _RANDOM.fullmatch(name) or not _READABLE.fullmatch(name):
            faults.append(f"cell {number}: the id {name!r} is not a readable name (small letters, digits, hyphens)")
        elif name in seen:
            faults.append(f"cell {number}: the id {name!r} is used twice")
        seen.add(name)
    return faults


def read(path: Path) -> nbformat.NotebookNode:
    """The notebook at `path`. Raises NotebookError for bad cell ids (nbformat alone would mend them in silence)."""
    nb = nbformat.v4.reads(path.read_text(encoding="utf-8"))
    if faults := id_faults(nb):
        raise NotebookError(f"{path.name}: " + "; ".join(faults))
    nbformat.validate(nb)
    return nb


def canonical(nb: nbformat.NotebookNode) -> str:
    """The text of the file, free of all that changes from run to run or from machine to machine."""
    nb.nbformat, nb.nbformat_minor = 4, 5
    nb.metadata.pop("widgets", None)
    nb.metadata.update(kernelspec=KERNELSPEC, language_info=LANGUAGE_INFO)
    for cell in nb.cells:
        for key in ("execution", "ExecuteTime", "trusted", "collapsed", "scrolled"):
            cell.metadata.pop(key, None)
        for output in cell.get("outputs", []):
            output.get("data", {}).pop(WIDGET_VIEW, None)
            output.get("metadata", {}).pop(WIDGET_VIEW, None)
    nbformat.validate(nb)
    return nbformat.writes(nb).rstrip("\n") + "\n"  # sorted keys, one space of indent


@contextmanager
def clean_environment() -> Iterator[dict[str, str]]:
    """The environment of a kernel that knows nothing of its user's settings. It lives in a temporary folder."""
    dropped = ("JUPYTER_", "IPYTHON", "VIRTLAB_", "PYTHONSTARTUP", "MPL")
    with tempfile.TemporaryDirectory(prefix="virtlab-notebooks-") as folder:
        env = {key: value for key, value in os.environ.items() if not key.startswith(dropped)}
        for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR", "MPLCONFIGDIR"):
            env[name] = str(Path(folder, name.lower()))
            Path(env[name]).mkdir()
        yield env | {"JUPYTER_PLATFORM_DIRS": "1", "VIRTLAB_STRICT": "1"}


def execute(path: Path, env: dict[str, str]) -> str:
    """Run the notebook at `path` from top to bottom in its own folder; the canonical text of the result."""
    nb = read(path)
    for cell in nb.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    client = NotebookClient(
        nb,
        timeout=CELL_TIMEOUT_S,
        kernel_name="python3",
        record_timing=False,
        store_widget_state=False,
        coalesce_streams=True,
        extra_arguments=["--IPKernelApp.log_level=40"],
        resources={"metadata": {"path": str(path.parent)}},
    )
    client.km = client.create_kernel_manager()
    client.owns_km = True
    if spec := client.km.kernel_spec:
        spec.argv[0] = sys.executable  # not a python3 that someone registered for themselves
    try:
        client.execute(env=env)
    except CellExecutionError as error:
        raise NotebookError(f"{path.name}: a cell failed\n{error}") from None
    return canonical(nb)


def update(paths: Iterable[Path], check: bool = False) -> list[Path]:
    """Execute each notebook and write it if its bytes change (`check`: only compare). Returns those that change."""
    changed = []
    with clean_environment() as env:
        for path in paths:
            new = execute(path, env).encode()
            if new != path.read_bytes():
                changed.append(path)
                if not check:
                    fresh = path.with_suffix(".ipynb.new")
                    fresh.write_bytes(new)
                    fresh.replace(path)
            print(f"{path.name}: {'unchanged' if path not in changed else 'would change' if check else 'written'}")
    return changed


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Execute the notebooks in place, in one canonical form.")
    parser.add_argument("paths", nargs="*", type=Path, metavar="NOTEBOOK", help="default: all of notebooks/")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a file would change")
    options = parser.parse_args(arguments)
    paths = [path.resolve() for path in options.paths] or sorted(NOTEBOOKS.glob("*.ipynb"))
    if not paths:
        parser.error(f"no notebook in {NOTEBOOKS}")
    try:
        changed = update(paths, options.check)
    except NotebookError as error:
        print(error, file=sys.stderr)
        return 1
    return int(options.check and bool(changed))


if __name__ == "__main__":
    sys.exit(main())
