"""What a guest prints, as lines of text: bounded, and safe to show whatever the bytes are."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator

#: A guest that prints more than this is not one of ours any more.
MOST_BYTES = 4 << 20
#: The rest of a longer line is dropped.
LONGEST_LINE = 1000
_TAIL_LINES = 20
# What a terminal obeys: colours and cursor moves (ECMA-48), as the firmware sends them to a serial line.
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[ -/]*[0-~])?")


class Console:
    """Cuts a stream of bytes into lines. Holds the last ones for an error message, and how many bytes there were."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self.most_bytes = most_bytes
        self.received = 0
        self._pending = b""
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)

    @property
    def flooded(self) -> bool:
        return self.received > self.most_bytes

    def feed(self, data: bytes) -> Iterator[str]:
        """The lines that these bytes complete."""
        self.received += len(data)
        *complete, pending = (self._pending + data).split(b"\n")
        self._pending = pending[:_KEPT]  # of a line without an end, no more is kept than is shown
        for line in complete:
            yield self._line(line)

    def end(self) -> Iterator[str]:
        """The last line, if nothing ended it."""
        if self._pending:
            yield self._line(self._pending)
            self._pending = b""

    def tail(self) -> str:
        """The last lines, the unfinished one included."""
        unfinished = [readable(self._pending)] if self._pending else []
        return "\n".join([*self._tail, *unfinished][-_TAIL_LINES:])

    def _line(self, raw: bytes) -> str:
        line = readable(raw)
        if line:
            self._tail.append(line)
        return line


_KEPT = 4 * LONGEST_LINE  # a character of UTF-8 has at most four bytes


def readable(raw: bytes) -> str:
    """One line as text without control characters; bytes that are no UTF-8 become U+FFFD."""
    text = _ESCAPES.sub("", raw[:_KEPT].decode("utf-8", "replace"))
    return "".join(c if c.isprintable() else " " for c in text).strip()[:LONGEST_LINE]
