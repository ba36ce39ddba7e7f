"""The course as a whole: its seventeen notebooks, which need which, which stand here, and the words they use."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from virtlab.core.table import Table
from virtlab.core.words import words
from virtlab.lessons.items import raw

_NAME = re.compile(r"^(\d\d)_.*\.ipynb$")


@dataclass(frozen=True)
class Notebook:
    """One notebook: number, title, track, the numbers of those it builds on directly, and whether it stands here."""

    number: str
    title: str
    track: Literal["core", "deeper"]
    needs: tuple[str, ...]
    here: bool


@dataclass(frozen=True)
class Graph:
    """The notebooks and the arrows between them (first -> later). ``level`` is the longest way from the start."""

    notebooks: tuple[Notebook, ...]
    edges: tuple[tuple[str, str], ...]
    level: dict[str, int]


def course_graph(here: Iterable[str] | str | Path | None = None) -> Graph:
    """Which notebook needs which, as data for a figure. ``here`` as in :func:`course_map`."""
    standing = _standing(here)
    notebooks = tuple(
        Notebook(n["number"], n["title"], n["track"], tuple(n["needs"]), n["number"] in standing)
        for n in raw("00")["notebook"]
    )
    level: dict[str, int] = {}
    for notebook in notebooks:  # each needs only earlier ones
        level[notebook.number] = max((level[n] + 1 for n in notebook.needs), default=0)
    return Graph(notebooks, tuple((n, b.number) for b in notebooks for n in b.needs), level)


def course_map(here: Iterable[str] | str | Path | None = None) -> Table:
    """The seventeen notebooks with track, what each needs, and whether it stands here or is to come.

    ``here``: numbers of notebooks (``["00", "01"]``), or the folder to look in; None looks beside the reader.
    """
    rows = []
    for n in course_graph(here).notebooks:
        state = words("lessons.map.here" if n.here else "lessons.map.to_come")
        needs = ", ".join(n.needs) or words("lessons.map.nothing")
        rows.append((n.number, n.title, words(f"lessons.map.{n.track}"), needs, state))
    return Table.of(words("lessons.map.header"), rows, words("lessons.map.caption"))


def glossary() -> Table:
    """The terms used in the notebooks that stand here, one plain sentence each, in alphabetical order."""
    rows = sorted(((t["term"], t["means"]) for t in raw("00")["term"]), key=lambda row: row[0].lower())
    return Table.of(words("lessons.glossary.header"), rows, words("lessons.glossary.caption"))


def _standing(here: Iterable[str] | str | Path | None) -> frozenset[str]:
    if here is not None and not isinstance(here, str | Path):
        return frozenset(here)
    # A kernel runs in the notebook's folder, a script or a test somewhere above it.
    beside = (Path.cwd(), Path.cwd() / "notebooks", Path(__file__).parents[2] / "notebooks")
    for folder in (Path(here),) if here is not None else beside:
        found = frozenset(m[1] for f in (folder.iterdir() if folder.is_dir() else ()) if (m := _NAME.match(f.name)))
        if found:
            return found
    return frozenset()
