"""Lines on a connection to QEMU: sent whole, waited for until a deadline, and never more of them than a bound."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable

from virtlab.core.words import say
from virtlab.machine.owning import MachineError

ANSWER_SECONDS = 30.0


class Lines:
    """Our end of one connection, line by line. Raises MachineError when QEMU says too much, or is late or gone.

    ``died`` says what is known of a QEMU that has closed the connection; ``seconds`` is how long an answer may take;
    more than ``longest`` bytes that nobody has taken are nonsense.
    """

    def __init__(self, connection: socket.socket, died: Callable[[], str], seconds: float, longest: int) -> None:
        connection.setblocking(False)  # every wait is a poll of our own: with a socket's timeout, recv would wait too
        self._connection, self._died, self.seconds, self._longest = connection, died, seconds, longest
        self._poll = select.poll()
        self._poll.register(connection, select.POLLIN)
        self._bytes = bytearray()
        self.ended = False

    def fileno(self) -> int:
        return self._connection.fileno()

    def send(self, line: str, command: str) -> None:
        """Sends a line; errors name ``command``."""
        try:
            self._connection.sendall(line.encode() + b"\n")
        except BlockingIOError:
            raise MachineError(say("qemu.stalled", command=short(command), seconds=0)) from None
        except OSError:
            raise self.closed(command) from None

    def wait(self, command: str, end: float) -> bytes:
        """The next line, taken; waits for it until ``end`` on the monotonic clock."""
        while self.here() is None:
            if not self.more(end - time.monotonic(), command):
                raise MachineError(say("qemu.stalled", command=short(command), seconds=f"{self.seconds:g}"))
            if self.ended and self.here() is None:
                raise self.closed(command)
        return self.take()

    def here(self) -> bytes | None:
        """The next line if it has arrived, not taken."""
        cut = self._bytes.find(b"\n")
        return None if cut < 0 else bytes(self._bytes[:cut])

    def take(self) -> bytes:
        """Takes the line that is here."""
        cut = self._bytes.index(b"\n")
        line = bytes(self._bytes[:cut])
        del self._bytes[: cut + 1]
        return line

    def more(self, seconds: float, command: str) -> bool:
        """Waits for bytes and receives them; False when none came in time. At the end of the connection ``ended``."""
        if seconds < 0 or not self._poll.poll(seconds * 1000):
            return False
        try:
            received = self._connection.recv(1 << 16)
        except BlockingIOError:
            return True
        except OSError:
            received = b""
        self._bytes += received
        self.ended = not received
        if len(self._bytes) > self._longest:
            raise MachineError(say("qemu.nonsense", command=short(command), answer=short(repr(self._bytes[:40]))))
        return True

    def closed(self, command: str) -> MachineError:
        """The error of a connection that QEMU has closed."""
        return MachineError(say("qemu.closed", command=short(command), why=self._died()))


def short(text: str) -> str:
    """A piece of a message that may be long, and is not ours."""
    clean = "".join(c if c.isprintable() else "?" for c in text)
    return clean if len(clean) <= 80 else clean[:77] + "..."
