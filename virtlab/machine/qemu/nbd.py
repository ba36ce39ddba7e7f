"""A disk with a write cache of its own that sees what QEMU asks of it: a server of the NBD protocol, in a thread.

Only what QEMU needs is spoken: the fixed newstyle handshake, reads, writes (with FUA) and flushes.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections import Counter

from virtlab.core.words import say
from virtlab.machine.owning import MachineError, Owner

_OPTION, _REPLY = 0x49484156454F5054, 0x3E889045565A9
_FIXED, _NO_ZEROES = 1, 2
_ABORT, _INFO, _GO = 2, 6, 7
_ACK, _EXPORT, _UNSUPPORTED = 1, 3, 0x8000_0001
_HAS_FLAGS, _SEND_FLUSH, _SEND_FUA = 1, 4, 8
_REQUEST = struct.Struct(">IHHQQI")
_REQUEST_MAGIC, _ANSWER_MAGIC = 0x25609513, 0x67446698
_READ, _WRITE, _DISCONNECT, _FLUSH = range(4)
_FUA, _INVALID = 1, 22
_LONGEST, _LONGEST_OPTION, _MOST_OPTIONS = 1 << 20, 1 << 12, 64
_PATIENCE_SECONDS = 5.0


class NbdDisk(Owner):
    """Serves ``disk`` to the one who has ``peer``, which goes to QEMU and is closed here with the rest.

    Writes lie in a volatile cache until a flush, or a write with FUA, brings them to the ``medium``. ``counted`` has
    "reads", "writes", "fua" (of the writes), "flushes" and "errors". ``failure`` says why the server ended, if it did.
    """

    def __init__(self, disk: bytes) -> None:
        super().__init__()
        self.counted: Counter[str] = Counter()
        self.failure = ""
        self._size = len(disk)
        self._seen, self._medium = bytearray(disk), bytearray(disk)  # what a read returns; what a power failure leaves
        self._dirty: list[tuple[int, int]] = []
        self._lock = threading.Lock()
        with self._opening() as held:
            ours, self.peer = (held.enter_context(s) for s in socket.socketpair())
            thread = threading.Thread(target=_serve, args=(self, ours), name="virtlab-nbd", daemon=True)
            thread.start()
            held.callback(thread.join, _PATIENCE_SECONDS)
            held.callback(_hang_up, ours)

    def after_power_failure(self) -> bytes:
        """What a disk that loses its cache at this moment would hold."""
        with self._lock:
            return bytes(self._medium)

    def _do(self, kind: int, flags: int, at: int, size: int, data: bytes) -> tuple[int, bytes]:
        """(error, what is read)"""
        with self._lock:
            if kind in (_READ, _WRITE) and at + size > self._size:
                self.counted["errors"] += 1
                return _INVALID, b""
            if kind == _READ:
                self.counted["reads"] += 1
                return 0, bytes(self._seen[at : at + size])
            if kind == _WRITE:
                self.counted["writes"] += 1
                self._seen[at : at + size] = data
                if flags & _FUA:
                    self.counted["fua"] += 1
                    self._medium[at : at + size] = data
                else:
                    self._dirty.append((at, at + size))
                return 0, b""
            if kind == _FLUSH:
                self.counted["flushes"] += 1
                for start, end in self._dirty:
                    self._medium[start:end] = self._seen[start:end]
                self._dirty.clear()
                return 0, b""
            self.counted["errors"] += 1
            return _INVALID, b""


def _hang_up(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def _serve(disk: NbdDisk, connection: socket.socket) -> None:
    """The thread: until the peer hangs up, or breaks the rules."""
    try:
        if _shake_hands(disk._size, connection):
            while _one(disk, connection):
                pass
    except EOFError:
        pass
    except (MachineError, OSError) as error:
        disk.failure = str(error)
    finally:
        _hang_up(connection)  # so that QEMU does not wait


def _shake_hands(size: int, connection: socket.socket) -> bool:
    """Agrees on the export. False when the client goes away."""
    connection.sendall(b"NBDMAGIC" + struct.pack(">QH", _OPTION, _FIXED | _NO_ZEROES))
    _receive(connection, 4)
    for _ in range(_MOST_OPTIONS):
        magic, option, length = struct.unpack(">QII", _receive(connection, 16))
        if magic != _OPTION or length > _LONGEST_OPTION:
            raise MachineError(say("nbd.broken", what="option", given=f"{option}, {length} B"))
        _receive(connection, length)
        if option in (_GO, _INFO):
            export = struct.pack(">HQH", 0, size, _HAS_FLAGS | _SEND_FLUSH | _SEND_FUA)
            connection.sendall(_reply(option, _EXPORT, export) + _reply(option, _ACK))
            if option == _GO:
                return True
        elif option == _ABORT:
            connection.sendall(_reply(option, _ACK))
            return False
        else:
            connection.sendall(_reply(option, _UNSUPPORTED))
    raise MachineError(say("nbd.broken", what="handshake", given=f"{_MOST_OPTIONS} options"))


def _reply(option: int, kind: int, data: bytes = b"") -> bytes:
    return struct.pack(">QIII", _REPLY, option, kind, len(data)) + data


def _one(disk: NbdDisk, connection: socket.socket) -> bool:
    """One request and its answer; False when the client says that it was the last."""
    magic, flags, kind, cookie, at, size = _REQUEST.unpack(_receive(connection, _REQUEST.size))
    if magic != _REQUEST_MAGIC or size > _LONGEST:
        raise MachineError(say("nbd.broken", what="request", given=f"{magic:#x}, {size} B"))
    if kind == _DISCONNECT:
        return False
    data = _receive(connection, size) if kind == _WRITE else b""
    error, back = disk._do(kind, flags, at, size, data)
    connection.sendall(struct.pack(">IIQ", _ANSWER_MAGIC, error, cookie) + back)
    return True


def _receive(connection: socket.socket, size: int) -> bytes:
    """Exactly so many bytes. Raises EOFError when the peer hangs up."""
    found = bytearray()
    while len(found) < size:
        more = connection.recv(min(size - len(found), 1 << 16))
        if not more:
            raise EOFError
        found += more
    return bytes(found)


def nbd_options(disk: NbdDisk) -> list[str]:
    """Options for a block node "disk" that this disk serves."""
    return ["-blockdev", f"driver=nbd,node-name=disk,server.type=fd,server.str={disk.peer.fileno()}"]
