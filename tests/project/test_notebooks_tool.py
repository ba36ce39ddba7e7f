"""tools/notebooks.py on tiny notebooks: the same bytes every time, and no file written that is not canonical."""
import json

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, writes

from tools import notebooks as tool

CELLS = (
    ("slider", "import ipywidgets\nipywidgets.IntSlider(3)"),
    ("two-prints", "print('one', flush=True)\nprint('two')"),
    ("picture", "from IPython.display import Image\nfrom matplotlib.figure import Figure\nimport io\n"
                "figure, buffer = Figure(figsize=(1, 1)), io.BytesIO()\nfigure.subplots().plot([1, 2])\n"
                "figure.savefig(buffer, format='png')\nImage(buffer.getvalue())"),
)


def notebook(*cells):
    return new_notebook(cells=[new_markdown_cell("# Why?", id="title")]
                        + [new_code_cell(source, id=name) for name, source in cells])


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "some.ipynb"
    path.write_text(writes(notebook(*CELLS)), encoding="utf-8")
    return path


def test_executing_twice_gives_the_same_bytes_and_check_agrees(file, capsys):
    before = file.read_bytes()
    assert tool.main([str(file), "--check"]) == 1 and file.read_bytes() == before, "--check says so and writes nothing"
    assert tool.main([str(file)]) == 0
    first = file.read_bytes()
    assert tool.main([str(file)]) == 0 and file.read_bytes() == first
    assert tool.main([str(file), "--check"]) == 0
    said = capsys.readouterr().out.split("\n")[:-1]
    assert said == [f"some.ipynb: {what}" for what in ("would change", "written", "unchanged", "unchanged")]
    assert [path.name for path in file.parent.iterdir()] == ["some.ipynb"]

    written = json.loads(first)
    assert first.endswith(b"}\n") and first.decode() == json.dumps(written, sort_keys=True, indent=1,
                                                                    ensure_ascii=False) + "\n"
    assert set(written["metadata"]) == {"kernelspec", "language_info"}
    assert "version" not in written["metadata"]["language_info"], "the Python version differs between machines"
    assert [cell.get("execution_count") for cell in written["cells"]] == [None, 1, 2, 3]
    slider, prints, picture = (cell["outputs"] for cell in written["cells"][1:])
    assert slider[0]["data"] == {"text/plain": ["IntSlider(value=3)"]}, "no widget view: no kernel, no widget"
    assert [stream["text"] for stream in prints] == [["one\n", "two\n"]]
    assert "image/png" in picture[0]["data"]


def test_what_a_user_has_set_up_does_not_reach_the_kernel(tmp_path, monkeypatch):
    startup = tmp_path / "ipython" / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "hello.py").write_text("print('hello'); surprise = 1")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("VIRTLAB_NO_NUMBA", "1")
    path = tmp_path / "some.ipynb"
    source = "import os, sys\n('surprise' in globals(), 'VIRTLAB_NO_NUMBA' in os.environ, os.environ['VIRTLAB_STRICT'])"
    path.write_text(writes(notebook(("look", source))), encoding="utf-8")
    assert tool.main([str(path)]) == 0
    assert json.loads(path.read_text())["cells"][1]["outputs"][0]["data"]["text/plain"] == ["(False, False, '1')"]


def test_a_failing_cell_is_reported_and_nothing_is_written(tmp_path, capsys):
    path = tmp_path / "some.ipynb"
    path.write_text(writes(notebook(("break-it", "1 / 0"))), encoding="utf-8")
    before = path.read_bytes()
    assert tool.main([str(path)]) == 1
    assert "some.ipynb: a cell failed" in (said := capsys.readouterr().err) and "ZeroDivisionError" in said
    assert path.read_bytes() == before


def test_a_wanted_error_is_kept(tmp_path):
    nb = notebook(("break-it", "1 / 0"))
    nb.cells[1].metadata["tags"] = ["raises-exception"]
    path = tmp_path / "some.ipynb"
    path.write_text(writes(nb), encoding="utf-8")
    assert tool.main([str(path)]) == 0
    assert json.loads(path.read_text())["cells"][1]["outputs"][0]["ename"] == "ZeroDivisionError"


def test_canonical_drops_what_changes_from_run_to_run():
    nb = notebook(("slider", "1"))
    nb.metadata.update(widgets={"state": {}}, kernelspec={"name": "my-env", "display_name": "x", "language": "python"})
    nb.cells[1].metadata.update(execution={"iopub.status.busy": "2026"}, tags=["keep-me"], scrolled=True)
    written = json.loads(tool.canonical(nb))
    assert written["metadata"] == {"kernelspec": tool.KERNELSPEC, "language_info": tool.LANGUAGE_INFO}
    assert written["cells"][1]["metadata"] == {"tags": ["keep-me"]}


@pytest.mark.parametrize(("name", "fault"), [
    (None, "has no id"),
    ("title", "used twice"),
    ("3f2a9c01", "not a readable name"),
    ("abcdef01", "not a readable name"),
    ("b8f0c1de-0d6a-4c4e-9f60-0123456789ab", "not a readable name"),
    ("Predict Exits", "not a readable name"),
], ids=["missing", "duplicate", "random", "random-letter-first", "uuid", "not-a-slug"])
def test_a_cell_id_must_be_there_be_unique_and_be_readable(tmp_path, capsys, name, fault):
    data = json.loads(writes(notebook(("one", "1"))))
    if name is None:
        del data["cells"][1]["id"]
    else:
        data["cells"][1]["id"] = name
    path = tmp_path / "some.ipynb"
    path.write_text(json.dumps(data), encoding="utf-8")
    assert tool.main([str(path)]) == 1
    said = capsys.readouterr().err
    assert "some.ipynb: cell 2" in said and fault in said


@pytest.mark.parametrize("name", ["title", "predict-exits", "lab-2-tasks", "facade"])
def test_a_readable_cell_id_is_accepted(name):
    assert tool.id_faults(new_notebook(cells=[new_markdown_cell("", id=name)])) == []
