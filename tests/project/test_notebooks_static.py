"""What nbval does not see in the committed notebooks: order, leftovers, links, and the anatomy of a lesson."""
import json
import re
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from tools.notebooks import KERNELSPEC, NOTEBOOKS, WIDGET_VIEW, canonical, id_faults

START = "00_start_here.ipynb"
LESSON = ("The claim", "What you will be able to do", "What you need", "Predict", "The smallest model", "The lab",
          "Break it", "Exercises", "Verdict", "What this model leaves out", "Next")
START_HERE = ("What this course is", "A lab in one minute", "Self-test", "Glossary", "The map", "Your environment")
MOST_CODE_LINES = 10
PRIVATE_PATH = re.compile(r"(?<![\w.])(/(home|Users|root|tmp|work|opt|mnt|private|srv)/|[A-Z]:\\\\?\w)")
LINK = re.compile(r"\]\(([^()\s]+)\)|(?:href|src)=[\"']([^\"']+)[\"']")
HEADING = re.compile(r"^(#{1,6}) +(.+?) *$", re.MULTILINE)
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def code_cells(nb):
    return [cell for cell in nb.cells if cell.cell_type == "code"]


def prose(nb):
    return FENCED.sub("", "\n\n".join(cell.source for cell in nb.cells if cell.cell_type == "markdown"))


def sections(nb):
    """Each level-2 heading with the text below it."""
    parts = re.split(r"^## +(.+?) *$", prose(nb), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


# Each rule takes (notebook, path) and yields what is wrong, in words that say where.

def counts(nb, path):
    """Executed from top to bottom, in one go."""
    found = [cell.execution_count for cell in code_cells(nb)]
    if found != list(range(1, len(found) + 1)):
        yield f"the execution counts are {found}, not 1 to {len(found)}: run make notebooks"


def stored_errors(nb, path):
    """An error is stored where a cell is tagged for it, and nowhere else."""
    for cell in code_cells(nb):
        tags = set(cell.metadata.get("tags", ()))
        error = any(output.output_type == "error" for output in cell.outputs)
        if error and "raises-exception" not in tags:
            yield f"{cell.id}: stores an error"
        if "raises-exception" in tags and not error:
            yield f"{cell.id}: is tagged raises-exception, and stores none"
        if "raises-exception" in tags and "nbval-check-output" not in tags:
            yield f"{cell.id}: tag it nbval-check-output too, or a missing error passes on other systems"


def stderr(nb, path):
    for cell in code_cells(nb):
        if any(output.get("name") == "stderr" for output in cell.outputs):
            yield f"{cell.id}: stores text of stderr"


def ignored_output(nb, path):
    """Every output is compared."""
    for cell in code_cells(nb):
        tags = set(cell.metadata.get("tags", ())) & {"nbval-ignore-output", "nbval-skip"}
        if tags or re.search(r"#\s*(NBVAL_|PYTEST_VALIDATE)", cell.source):
            yield f"{cell.id}: takes itself out of the comparison"


def private_paths(nb, path):
    for cell in nb.cells:
        outputs = [{**output, "data": {kind: data for kind, data in output.get("data", {}).items()
                                       if not kind.startswith("image/")}} for output in cell.get("outputs", [])]
        if found := PRIVATE_PATH.search(cell.source + json.dumps(outputs)):
            yield f"{cell.id}: a path of one machine, {found[0]}..."


def leftovers(nb, path):
    """No widget state, no widget view, no foreign kernel: as tools/notebooks.py writes it."""
    if "widgets" in nb.metadata:
        yield "stores widget state"
    if nb.metadata.get("kernelspec") != KERNELSPEC:
        yield f"the kernelspec is {nb.metadata.get('kernelspec')}"
    for cell in code_cells(nb):
        if any(WIDGET_VIEW in output.get("data", {}) for output in cell.outputs):
            yield f"{cell.id}: stores a widget view"


def ids(nb, path):
    yield from id_faults(nb)


def short_cells(nb, path):
    for cell in code_cells(nb):
        lines = [line for line in cell.source.splitlines() if line.strip() and not line.lstrip().startswith("#")]
        if len(lines) > MOST_CODE_LINES:
            yield f"{cell.id}: {len(lines)} lines of code; more than {MOST_CODE_LINES} belong in the library"


def links(nb, path):
    """Relative links lead to a file that is there. (A notebook to come is named, not linked.)"""
    for cell in nb.cells:
        if cell.cell_type != "markdown":
            continue
        for match in LINK.finditer(cell.source):
            target = (match[1] or match[2]).partition("#")[0]
            if target and not re.match(r"[a-z][a-z0-9+.-]*:", target) and not (path.parent / target).exists():
                yield f"{cell.id}: the link to {target} leads nowhere"


def pictures_have_words(nb, path):
    for cell in nb.cells:
        if cell.cell_type == "markdown" and re.search(r"!\[\s*\]|<img(?![^>]*\balt=[\"'][^\"'])", cell.source):
            yield f"{cell.id}: a picture without alternative text"


def anatomy(nb, path):
    """The level-2 headings of its kind of notebook, each once, in this order; a title that asks, in a lesson."""
    wanted = START_HERE if path.name == START else LESSON
    headings = HEADING.findall(prose(nb))
    found = [text for marks, text in headings if marks == "##" and text in wanted]
    if found != list(wanted):
        yield f"the level-2 headings are {found}, not {list(wanted)}"
    titles = [text for marks, text in headings if marks == "#"]
    if len(titles) != 1 or headings[0][0] != "#":
        yield f"one title, first of all; found {titles}"
    elif path.name != START and not titles[0].endswith("?"):
        yield f"the title asks no question: {titles[0]}"


def needs_and_time(nb, path):
    if path.name == START:
        return
    needs = sections(nb).get("What you need", "")
    if not re.search(r"^\|.*\|\s*\n\|[\s:|-]+\|\s*$", needs, re.MULTILINE):
        yield "What you need: no table"
    if not re.search(r"\d+ minutes", needs):
        yield "What you need: no minutes"


def core_and_deeper(nb, path):
    """Below The lab, each level-3 heading says whether all need it (■) or nobody later on (□)."""
    if path.name == START:
        return
    parts = [text for marks, text in HEADING.findall(sections(nb).get("The lab", "")) if marks == "###"]
    if not any("■" in text for text in parts):
        yield f"The lab: no part is marked ■; found {parts}"
    for text in parts:
        if ("■" in text) == ("□" in text):
            yield f"The lab: mark this part ■ or □: {text}"


def canonical_form(nb, path):
    """Byte for byte as tools/notebooks.py would write it (it may be edited in JupyterLab; then: make notebooks)."""
    if path.exists() and path.read_text(encoding="utf-8") != canonical(nbformat.from_dict(nb)):
        yield "is not in canonical form: run make notebooks"


RULES = (counts, stored_errors, stderr, ignored_output, private_paths, leftovers, ids, short_cells, links,
         pictures_have_words, anatomy, needs_and_time, core_and_deeper, canonical_form)
FILES = sorted(NOTEBOOKS.glob("*.ipynb"))


def read(path):
    return nbformat.v4.reads(path.read_text(encoding="utf-8"))  # this, unlike nbformat.read, mends nothing


def test_the_first_notebooks_are_there_and_are_numbered_once():
    numbers = [path.name[:3] for path in FILES]
    assert {"00_", "01_", "09_"} <= set(numbers) and len(set(numbers)) == len(numbers), [path.name for path in FILES]
    assert (NOTEBOOKS / START).exists()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_notebook(path, rule):
    assert not (faults := list(rule(read(path), path))), "\n".join([path.name, *faults])


# ------------------------------------------------- the rules themselves

ELSEWHERE = Path(__file__).parent / "01_none.ipynb"  # beside this file, for the links


def good():
    """A lesson without fault."""
    text = "\n\n".join(f"## {heading}" for heading in LESSON)
    text = text.replace("you need", "you need\n\n| what | why |\n|---|---|\n| a browser | - |\n\n45 minutes")
    text = text.replace("## The lab", "## The lab\n\n### ■ One batch\n\n### □ Many queues")
    title = "# Where do 10 % go?\n\n[this](test_notebooks_static.py#x) [book](https://example.org)"
    return new_notebook(metadata={"kernelspec": dict(KERNELSPEC)}, cells=[
        new_markdown_cell(title, id="title"),
        new_markdown_cell(text, id="lesson"),
        new_code_cell("1 + 1", id="sum", execution_count=1),
    ])


def faults(change):
    nb = good()
    change(nb)
    return [rule.__name__ for rule in RULES if list(rule(nb, ELSEWHERE))]


def test_a_lesson_without_fault_passes_every_rule():
    assert faults(lambda nb: None) == []


def stores(**output):
    return lambda nb: nb.cells[2].outputs.append(new_output(**output))


def says(old, new):
    def change(nb):
        for cell in nb.cells:
            cell.source = cell.source.replace(old, new)
    return change


PLANTED = {
    "a cell run twice": (lambda nb: nb.cells[2].update(execution_count=2), "counts"),
    "a cell not run": (lambda nb: nb.cells[2].update(execution_count=None), "counts"),
    "an error": (stores(output_type="error", ename="E", evalue="", traceback=[]), "stored_errors"),
    "a missing error": (lambda nb: nb.cells[2].metadata.update(tags=["raises-exception", "nbval-check-output"]),
                        "stored_errors"),
    "a warning": (stores(output_type="stream", name="stderr", text="careful"), "stderr"),
    "an ignored output": (lambda nb: nb.cells[2].metadata.update(tags=["nbval-ignore-output"]), "ignored_output"),
    "an ignored output in a comment": (says("1 + 1", "# NBVAL_SKIP\n1"), "ignored_output"),
    "a path in an output": (stores(output_type="stream", name="stdout", text="in /home/me/x"), "private_paths"),
    "a path in a cell": (says("1 + 1", r"open('C:\\Users')"), "private_paths"),
    "widget state": (lambda nb: nb.metadata.update(widgets={}), "leftovers"),
    "another kernel": (lambda nb: nb.metadata.kernelspec.update(name="mine"), "leftovers"),
    "a widget view": (stores(output_type="display_data", data={WIDGET_VIEW: {}}), "leftovers"),
    "a random id": (lambda nb: nb.cells[2].update(id="0a1b2c3d"), "ids"),
    "a long cell": (says("1 + 1", "1\n" * 11), "short_cells"),
    "a dead link": (says("test_notebooks_static.py#x", "02_gone.ipynb#x"), "links"),
    "a picture without words": (says("[book]", "![]"), "pictures_have_words"),
    "a heading too few": (says("## Verdict", ""), "anatomy"),
    "headings in another order": (says("## Predict\n\n## The smallest model", "## The smallest model\n\n## Predict"),
                                  "anatomy"),
    "a heading in a code fence only": (says("## Verdict", "```\n## Verdict\n```"), "anatomy"),
    "a title that asks nothing": (says("go?", "go"), "anatomy"),
    "no table": (says("|---|---|", ""), "needs_and_time"),
    "no minutes": (says("45 minutes", ""), "needs_and_time"),
    "an unmarked part": (says("□ ", ""), "core_and_deeper"),
    "nothing for all": (says("■", "□"), "core_and_deeper"),
}


@pytest.mark.parametrize(("change", "rule"), PLANTED.values(), ids=PLANTED.keys())
def test_a_planted_fault_is_found_by_its_rule_alone(change, rule):
    assert faults(change) == [rule]


def test_a_file_that_is_not_canonical_is_found(tmp_path):
    path = tmp_path / "01_some.ipynb"
    path.write_text(canonical(good()), encoding="utf-8")
    assert not list(canonical_form(read(path), path))
    path.write_text(path.read_text(encoding="utf-8").replace('"metadata": {}', '"metadata": {"scrolled": true}', 1))
    assert list(canonical_form(read(path), path))
