"""Measures what copies cost: 1 MiB to another process by a socket, by two copies, by one, by none. Linux, no rights.

All ways are taken in turns, so that a slow moment strikes all of them. Both processes share one CPU: the hand-over is a
context switch and no wake-up of another CPU, which would cost as much as a copy.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter_ns as now

from virtlab.core.units import show
from virtlab.core.words import say, words
from virtlab.machine.computer import watch
from virtlab.machine.measured import COPIES, Measured, Quantity
from virtlab.machine.owning import MachineError, descriptor, memory_file, shared_view, start
from virtlab.machine.probes import pinned, usable_cpus
from virtlab.machine.reader import BLOCK_BYTES, COUNT_BYTES, WAYS, Blocks, way
from virtlab.machine.sampling import CannotMeasure, check_seconds, quantity, reason, until

_PATIENCE_SECONDS = 5  # for one answer
_LIFE_SECONDS = 30  # a reader that nobody ends lives no longer than this
_WARM = 2  # rounds: pages appear, caches fill
#: A ratio by id: the way above, the way below.
_RATIOS: Mapping[str, tuple[str, str]] = {
    "ratio_socket_two": ("socket", "two_copies"),
    "ratio_two_one": ("two_copies", "one_copy"),
    "ratio_one_zero": ("one_copy", "zero_copies"),
}


@dataclass
class Carried:
    """By way: the ns of each block, how many bytes were sent, and how many the other process found intact."""

    ns: dict[str, list[float]] = field(default_factory=lambda: {kind: [] for kind in WAYS})
    sent_bytes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(WAYS, 0))
    intact_bytes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(WAYS, 0))


def measure_copies(seconds: float = 1.0) -> Measured:
    """ns until 1 MiB reached another process and was looked at there, by each way, and the ratios of neighbouring ways.

    Takes about ``seconds`` (0.05 to 10), some 0.1 s to prepare and 8 MiB. Medians, with the 10th and 90th percentile;
    ratios are taken round by round. Each block is compared byte by byte on the other side, outside the measured time.
    Never raises for what cannot be measured: it is missing, with the reason. Whatever was opened or started is gone
    afterwards, after an interrupt as well. Raises ParameterError for ``seconds`` out of range.
    """
    check_seconds(seconds)
    facts = watch()
    try:
        quantities = _compared(carry(seconds))
    except MachineError as error:
        quantities = [Quantity(key, missing=str(error)) for key in COPIES]
    except Exception as error:  # a sandbox may refuse anything
        quantities = [Quantity(key, missing=reason(error)) for key in COPIES]
    # On one CPU our own two wait for each other, in some 0.3 of the time: that would say nothing of others.
    return Measured(tuple(quantities), replace(facts(), waiting_meanwhile=None))


def _compared(carried: Carried) -> list[Quantity]:
    sent, intact = (sum(count.values()) for count in (carried.sent_bytes, carried.intact_bytes))
    if intact != sent:
        raise CannotMeasure(say("probe.why.damaged", sent=show(sent, "B"), lost=show(sent - intact, "B")))
    times = [quantity(f"block_{kind}", carried.ns[kind]) for kind in WAYS]
    pairs = {key: zip(carried.ns[a], carried.ns[b], strict=True) for key, (a, b) in _RATIOS.items()}
    return times + [quantity(key, [a / b for a, b in pair]) for key, pair in pairs.items()]


def carry(seconds: float) -> Carried:
    """Sends blocks in all ways, round by round, until the time is over.

    Raises CannotMeasure, MachineError or OSError.
    """
    cpu = usable_cpus()[0]
    if not hasattr(os, "memfd_create") or not hasattr(os, "eventfd"):
        raise CannotMeasure(words("probe.why.memfd"))
    carried = Carried()
    with pinned(cpu), contextlib.ExitStack() as held:
        sender = Sender(held)
        for _ in range(_WARM * len(WAYS)):
            sender.send(Carried())
        for _ in until(seconds):
            for _ in WAYS:
                sender.send(carried)
    return carried


class Sender:
    """This side: a socket, shared memory with an eventfd as its bell, and the process that takes the blocks."""

    def __init__(self, held: contextlib.ExitStack) -> None:
        self.socket, theirs = (held.enter_context(end) for end in socket.socketpair())
        # The kernel's own time limits: Python's would add a system call to each send.
        for limit in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            self.socket.setsockopt(socket.SOL_SOCKET, limit, struct.pack("@ll", _PATIENCE_SECONDS, 0))
        self._bell = descriptor(held, os.eventfd(0, os.EFD_CLOEXEC))
        memory = memory_file(held, size=BLOCK_BYTES)
        self.shared = shared_view(held, memory, BLOCK_BYTES)
        self._own = memoryview(bytearray(BLOCK_BYTES))
        self._blocks, self._turn = Blocks(), 0
        fds = (theirs.fileno(), self._bell, memory)
        program = str(Path(__file__).with_name("reader.py"))
        command = [sys.executable, "-I", "-S", program, *map(str, (*fds, _LIFE_SECONDS))]
        self.process = start(held, command, pass_fds=fds)  # it inherits the one CPU that this thread may use now
        theirs.close()  # else nobody would notice that the reader is gone
        self._receive(1)

    def send(self, carried: Carried) -> None:
        """One block in the way of this turn; the time ends when the other side has looked at it and says so."""
        kind, block = way(self._turn), self._blocks[self._turn]
        (self.shared if kind == "zero_copies" else self._own)[:] = block  # it is made: in place, or in our own memory
        start_ns = now()
        self._hand_over(kind)
        answer = self.socket.recv(1)
        took_ns = now() - start_ns
        if not answer:
            raise CannotMeasure(words("machine.why.partner"))
        self.socket.sendall(b"?")
        carried.intact_bytes[kind] += int.from_bytes(self._receive(COUNT_BYTES), "little")
        carried.sent_bytes[kind] += len(block)
        carried.ns[kind].append(took_ns)
        self._turn += 1

    def _hand_over(self, kind: str) -> None:
        if kind == "socket":
            self.socket.sendall(self._own)
            return
        if kind != "zero_copies":
            self.shared[:] = self._own
        os.eventfd_write(self._bell, 1)

    def _receive(self, size: int) -> bytes:
        answer = self.socket.recv(size, socket.MSG_WAITALL)
        if len(answer) < size:
            raise CannotMeasure(words("machine.why.partner"))
        return answer
