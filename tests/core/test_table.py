"""A table as text and as HTML."""

from __future__ import annotations

import pytest

from virtlab.core.table import Table


def test_text_is_aligned_with_numbers_flush_right():
    table = Table.of(("event", "n"), [("exit", 3), ("copy", 12)], "Counts", numeric=[1])
    assert str(table).splitlines() == ["Counts", "event   n", "-----  --", "exit    3", "copy   12"]


def test_it_prints_the_same_in_a_list_of_cells():
    table = Table.of(("a",), [("b",)])
    assert repr(table) == str(table) == "a\n-\nb"


def test_an_empty_table_keeps_its_header():
    assert str(Table.of(("a", "b"), [])) == "a  b\n-  -"


def test_html_has_headers_with_scope_and_escapes_its_cells():
    page = Table.of(("<a>", "n"), [("x & y", 1)], "a < b", numeric=[1])._repr_html_()
    assert "<caption>a &lt; b</caption>" in page
    assert '<th scope="col" style="text-align:left">&lt;a&gt;</th>' in page
    assert '<td style="text-align:left">x &amp; y</td><td style="text-align:right">1</td>' in page


def test_a_row_of_another_length_is_refused():
    with pytest.raises(ValueError, match="a row has 1 cells, the table has 2 columns"):
        Table.of(("a", "b"), [("only",)])
