"""A small table that prints itself well as text and as HTML, so that results read the same everywhere."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """Rows of texts under headers. ``numeric`` names the columns that are set flush right."""

    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""
    numeric: frozenset[int] = frozenset()

    @classmethod
    def of(
        cls, headers: Sequence[str], rows: Iterable[Sequence[object]], caption: str = "", numeric: Iterable[int] = ()
    ) -> Table:
        """Builds a table from any sequences; every cell becomes text."""
        cells = tuple(tuple(str(c) for c in row) for row in rows)
        for row in cells:
            if len(row) != len(headers):
                raise ValueError(f"a row has {len(row)} cells, the table has {len(headers)} columns: {row}")
        return cls(tuple(headers), cells, caption, frozenset(numeric))

    def __str__(self) -> str:
        widths = [max(len(r[i]) for r in (self.headers, *self.rows)) for i in range(len(self.headers))]

        def line(row: Sequence[str]) -> str:
            cells = (
                c.rjust(w) if i in self.numeric else c.ljust(w)
                for i, (c, w) in enumerate(zip(row, widths, strict=True))
            )
            return "  ".join(cells).rstrip()

        head = [self.caption] if self.caption else []
        return "\n".join([*head, line(self.headers), "  ".join("-" * w for w in widths), *map(line, self.rows)])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        def cell(tag: str, i: int, text: str) -> str:
            scope = ' scope="col"' if tag == "th" else ""
            side = "right" if i in self.numeric else "left"
            return f'<{tag}{scope} style="text-align:{side}">{html.escape(text)}</{tag}>'

        def row(tag: str, cells: Sequence[str]) -> str:
            return "<tr>" + "".join(cell(tag, i, c) for i, c in enumerate(cells)) + "</tr>"

        caption = f"<caption>{html.escape(self.caption)}</caption>" if self.caption else ""
        body = "".join(row("td", r) for r in self.rows)
        return f"<table>{caption}<thead>{row('th', self.headers)}</thead><tbody>{body}</tbody></table>"


class Shown:
    """Base of results that print as their table, as text and as HTML."""

    def table(self) -> Table:
        """The result as rows; a subclass writes it."""
        raise NotImplementedError

    def __str__(self) -> str:
        return str(self.table())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.table()._repr_html_()
