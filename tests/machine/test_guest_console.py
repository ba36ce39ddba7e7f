"""What a guest prints, whatever it prints: lines of bounded length, safe to show, and the last ones kept."""
import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.machine.guest.console import LONGEST_LINE, Console, readable


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_any_bytes_in_any_pieces_become_the_same_printable_lines(pieces):
    console, whole = Console(), Console()
    lines = [line for piece in pieces for line in console.feed(piece)] + list(console.end())
    assert lines == [*whole.feed(b"".join(pieces)), *whole.end()]
    assert all(line.isprintable() and len(line) <= LONGEST_LINE for line in lines)
    assert console.received == sum(map(len, pieces))


@given(st.text())
def test_text_without_control_characters_is_told_as_it_is(text):
    plain = "".join(c for c in text if c.isprintable()).strip()
    assert list(Console().feed(plain.encode("utf-8", "replace") + b"\r\n")) == [plain[:LONGEST_LINE]]


def test_what_a_terminal_would_obey_is_left_out():
    assert readable(b"\x1bc\x1b[?7l\x1b[2J\x1b[1;31mSeaBIOS\x1b[0m\x07 \x9b\r") == "SeaBIOS  �"


def test_a_line_without_an_end_does_not_grow():
    console = Console()
    for _ in range(50):
        list(console.feed(b"x" * 10_000))
    assert len(console.tail()) == LONGEST_LINE
    assert [len(line) for line in console.feed(b"\n")] == [LONGEST_LINE]


def test_the_tail_has_the_last_lines_and_the_one_that_is_not_finished():
    console = Console()
    list(console.feed(b"".join(b"line %d\n" % n for n in range(100)) + b"Kernel pan"))
    assert console.tail().splitlines()[0] == "line 81"
    assert console.tail().splitlines()[-2:] == ["line 99", "Kernel pan"]


@pytest.mark.parametrize(("sent", "flooded"), [(10, False), (11, True)])
def test_too_much_is_noticed(sent, flooded):
    console = Console(most_bytes=10)
    list(console.feed(b"x" * sent))
    assert console.flooded is flooded
