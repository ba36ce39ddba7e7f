"""The process that blocks are copied to: it takes each, looks at it and answers. Run as a file (see main)."""

from __future__ import annotations

import mmap
import os
import random
import signal
import socket
import sys

BLOCK_BYTES = 1 << 20
WAYS = ("socket", "two_copies", "one_copy", "zero_copies")
COUNT_BYTES = 8
_PAGE_BYTES, _SHIFT_BYTES, _SHIFTS = 4096, 64, 64


def way(turn: int) -> str:
    """How the block of this turn, from 0, travels: all ways in every round, and another one first in the next."""
    done, place = divmod(turn, len(WAYS))
    return WAYS[(done + place) % len(WAYS)]


class Blocks:
    """The block of each turn, as both processes know it: noise, shifted every time, so that no stale block passes."""

    def __init__(self) -> None:
        self._noise = random.Random(1).randbytes(BLOCK_BYTES + _SHIFT_BYTES * _SHIFTS)

    def __getitem__(self, turn: int) -> bytes:
        start = turn % _SHIFTS * _SHIFT_BYTES
        return self._noise[start : start + BLOCK_BYTES]


def intact_bytes(got: memoryview, wanted: bytes) -> int:
    """How many bytes are what they should be."""
    here = got.tobytes()
    return len(wanted) if here == wanted else sum(a == b for a, b in zip(here, wanted, strict=True))


def take(kind: str, sender: socket.socket, bell: int, shared: memoryview, own: memoryview) -> memoryview:
    """Waits for the next block and returns where it lies. Raises EOFError when the sender is gone."""
    if kind == "socket":
        got = 0
        while got < BLOCK_BYTES:
            size = sender.recv_into(own[got:])
            if not size:
                raise EOFError
            got += size
        return own
    os.eventfd_read(bell)
    if kind == "two_copies":
        own[:] = shared
        return own
    return shared


def main(sender_fd: int, bell: int, memory: int, seconds: int) -> None:
    """Answers each block on the socket ``sender_fd``, and then, when asked, says how many of its bytes are intact.

    ``bell`` is the eventfd that rings for a block in ``memory``; ``seconds`` is the longest life of this process.
    """
    signal.alarm(seconds)  # the eventfd does not tell that the sender is gone
    blocks, own = Blocks(), memoryview(bytearray(BLOCK_BYTES))
    with socket.socket(fileno=sender_fd) as sender, mmap.mmap(memory, BLOCK_BYTES) as mapped:
        with memoryview(mapped) as shared:
            sender.sendall(b"r")
            turn = 0
            while True:
                block = take(way(turn), sender, bell, shared, own)
                block[::_PAGE_BYTES].tobytes()  # it looks at one byte of each page
                sender.sendall(b"a")
                if not sender.recv(1):
                    return
                sender.sendall(intact_bytes(block, blocks[turn]).to_bytes(COUNT_BYTES, "little"))
                turn += 1


if __name__ == "__main__":
    try:
        main(*map(int, sys.argv[1:5]))
    except (EOFError, OSError):  # the sender is gone
        os._exit(1)
