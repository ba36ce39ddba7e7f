"""The vhost-user protocol on the wire (QEMU, docs/interop/vhost-user.rst): bounded messages with descriptors."""

from __future__ import annotations

import contextlib
import enum
import os
import select
import socket
import struct
from time import monotonic
from typing import NamedTuple

from virtlab.core.words import say
from virtlab.machine.owning import MachineError

PROTOCOL_FEATURES = 1 << 30  # a feature bit of vhost-user alone: there are further messages
MULTIQUEUE, REPLY_ACK, CONFIG = 1 << 0, 1 << 3, 1 << 9  # protocol features
_VERSION, _IS_REPLY, _NEEDS_REPLY = 1, 1 << 2, 1 << 3
_HEADER = struct.Struct("<III")
_LONGEST_BODY, _MOST_FDS = 4096, 8

U64, VRING_STATE, VRING_ADDRESS = struct.Struct("<Q"), struct.Struct("<II"), struct.Struct("<IIQQQQ")
MEMORY_HEAD, MEMORY_REGION, CONFIG_HEAD = struct.Struct("<II"), struct.Struct("<QQQQ"), struct.Struct("<III")
NO_FD = 1 << 8  # of a kick, call or error message: it brings no descriptor


class Request(enum.IntEnum):
    """What a front end asks for."""

    GET_FEATURES = 1
    SET_FEATURES = 2
    SET_OWNER = 3
    SET_MEM_TABLE = 5
    SET_VRING_NUM = 8
    SET_VRING_ADDR = 9
    SET_VRING_BASE = 10
    GET_VRING_BASE = 11
    SET_VRING_KICK = 12
    SET_VRING_CALL = 13
    SET_VRING_ERR = 14
    GET_PROTOCOL_FEATURES = 15
    SET_PROTOCOL_FEATURES = 16
    GET_QUEUE_NUM = 17
    SET_VRING_ENABLE = 18
    GET_CONFIG = 24
    SET_CONFIG = 25


class Message(NamedTuple):
    """One message. Whoever takes it must close ``fds``, or keep them."""

    request: int
    body: bytes
    fds: list[int]
    needs_reply: bool

    @property
    def name(self) -> str:
        try:
            return Request(self.request).name
        except ValueError:
            return f"request {self.request}"

    def unpack(self, layout: struct.Struct) -> tuple[int, ...]:
        """The body's first fields. Raises MachineError when it is too short."""
        if len(self.body) < layout.size:
            raise MachineError(say("vhost.short", name=self.name, given=len(self.body), wanted=layout.size))
        return layout.unpack_from(self.body)


class Connection:
    """One end of a vhost-user connection. Every wait has a limit; what a peer sends is bounded before it is read."""

    def __init__(self, connection: socket.socket, seconds: float) -> None:
        self.socket, self._seconds = connection, seconds
        connection.setblocking(False)

    def fileno(self) -> int:
        return self.socket.fileno()

    def send(self, request: int, body: bytes = b"", fds: tuple[int, ...] = (), reply: bool = False) -> None:
        """Sends one message. Raises MachineError when the peer is gone or takes nothing."""
        head = _HEADER.pack(request, _VERSION | (_IS_REPLY if reply else 0), len(body))
        try:
            sent = socket.send_fds(self.socket, [head + body], list(fds))
        except BlockingIOError:
            sent = -1
        except OSError:
            raise MachineError(say("vhost.gone", what=Request(request).name)) from None
        if sent != len(head) + len(body):
            raise MachineError(say("vhost.stalled", what=Request(request).name, seconds=0))

    def receive(self) -> Message | None:
        """The next message; None when the peer has closed. Raises MachineError for one that is late or malformed."""
        end = monotonic() + self._seconds
        fds: list[int] = []
        try:
            head = self._exactly(_HEADER.size, end, fds)
            if not head:
                return None
            request, flags, size = _HEADER.unpack(head)
            if flags & 3 != _VERSION or size > _LONGEST_BODY:
                raise MachineError(say("vhost.malformed", request=request, flags=f"{flags:#x}", size=size))
            body = self._exactly(size, end, fds) if size else b""
            if len(body) < size:
                raise MachineError(say("vhost.gone", what=request))
            if len(fds) > _MOST_FDS:
                raise MachineError(say("vhost.fds", given=len(fds), most=_MOST_FDS))
            message, fds = Message(request, body, fds, bool(flags & _NEEDS_REPLY)), []
            return message
        finally:
            close_all(fds)

    def _exactly(self, size: int, end: float, fds: list[int]) -> bytes:
        """``size`` bytes, or fewer at the end of the connection; descriptors that come along go into ``fds``."""
        data = b""
        poll = select.poll()
        poll.register(self.socket, select.POLLIN)
        while len(data) < size:
            left = end - monotonic()
            if left <= 0 or not poll.poll(left * 1000):
                raise MachineError(say("vhost.stalled", what=words_of(data), seconds=f"{self._seconds:g}"))
            try:
                part, more, _, _ = socket.recv_fds(self.socket, size - len(data), _MOST_FDS)
            except BlockingIOError:
                continue
            except OSError:
                part, more = b"", []
            fds += more
            if not part:
                return data
            data += part
        return data

    def ask(self, request: Request, body: bytes = b"") -> bytes:
        """Sends a request and returns the body of its reply. Raises MachineError."""
        self.send(request, body)
        reply = self.receive()
        if reply is None:
            raise MachineError(say("vhost.gone", what=request.name))
        close_all(reply.fds)
        if reply.request != request:
            raise MachineError(say("vhost.other", wanted=request.name, given=reply.name))
        return reply.body


def words_of(data: bytes) -> str:
    """What is known of a message of which only the first bytes have come."""
    return data[:12].hex() or "-"


def close_all(fds: list[int]) -> None:
    for fd in fds:
        with contextlib.suppress(OSError):
            os.close(fd)
