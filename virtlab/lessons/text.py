"""Short texts with a little markup (paragraphs, lists, `code`, **bold**), shown as plain text and as HTML."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, repr=False)
class Note:
    """A text that prints itself: ``text`` where there is no HTML, ``html`` in a notebook."""

    text: str
    html: str

    def __str__(self) -> str:
        return self.text

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.html


def note(text: str) -> Note:
    """A note from text with markup."""
    return Note(plain(text), to_html(text))


def plain(text: str) -> str:
    """The text without its bold marks; code keeps its backquotes."""
    return re.sub(r"\*\*(.+?)\*\*", r"\1", text.strip())


def inline(text: str) -> str:
    """One run of text as HTML, everything escaped but `code` and **bold**."""
    pieces = re.split(r"`([^`]+)`", html.escape(text.strip(), quote=False))
    for i, piece in enumerate(pieces):
        pieces[i] = f"<code>{piece}</code>" if i % 2 else re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", piece)
    return "".join(pieces)


def to_html(text: str) -> str:
    """Paragraphs are parted by an empty line; lines that begin with "- " make a list."""
    blocks = []
    for block in re.split(r"\n\s*\n", text.strip()):
        lines = block.split("\n")
        if all(line.startswith("- ") for line in lines):
            blocks.append("<ul>" + "".join(f"<li>{inline(line[2:])}</li>" for line in lines) + "</ul>")
        else:
            blocks.append(f"<p>{inline(' '.join(lines))}</p>")
    return "".join(blocks)


def code_html(code: str) -> str:
    """A block of program text."""
    return f"<pre><code>{html.escape(code.strip(), quote=False)}</code></pre>"


def folded(summary: str, body_html: str) -> str:
    """A part that is closed until the reader opens it; keyboard and screen reader know it."""
    return f"<details><summary>{inline(summary)}</summary>{body_html}</details>"


def fill(text: str, values: Mapping[str, object]) -> str:
    """``text`` with ``{name}`` replaced for the given names only, so that braces of program text stay."""
    for name, value in values.items():
        text = text.replace("{" + name + "}", str(value))
    return text
