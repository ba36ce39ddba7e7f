"""What both kinds of ring share: the four verbs of a driver and the four of a device, and what breaks them."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Concatenate, ParamSpec, TypeVar

from virtlab.core.counts import Counts
from virtlab.core.words import say
from virtlab.virtio.chain import Chain, RingError, Used, elements
from virtlab.virtio.layout import Feature, Layout
from virtlab.virtio.memory import GuestMemory

_S = TypeVar("_S", bound="_Side")
_P = ParamSpec("_P")
_R = TypeVar("_R")


def guarded(method: Callable[Concatenate[_S, _P], _R]) -> Callable[Concatenate[_S, _P], _R]:
    """Lets nothing through once the other side has broken the rules."""

    @functools.wraps(method)
    def call(self: _S, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        if self.broken is not None:
            raise self.broken
        try:
            return method(self, *args, **kwargs)
        except RingError as error:
            self.broken = error
            raise

    return call


class _Side:
    def __init__(self, memory: GuestMemory, layout: Layout, features: Feature) -> None:
        self.memory, self.layout, self.features = memory, layout, features
        self.size = layout.size
        self.event_idx = Feature.EVENT_IDX in features
        self.indirect = Feature.INDIRECT_DESC in features
        self.in_order = Feature.IN_ORDER in features
        self.broken: RingError | None = None
        #: Asked for and suppressed notifications of the other side: "kicks", "calls", and each with "_suppressed".
        self.notifications: Counter[str] = Counter()

    def _told(self, name: str, wanted: bool) -> bool:
        self.notifications[name if wanted else f"{name}_suppressed"] += 1
        return wanted


class Driver(_Side, ABC):
    """The guest's side: ``add`` buffers, ``publish`` them, ``take`` them back, ask for ``calls``.

    ``start`` is where the indices begin: 0 after a reset; another value continues a ring (for a packed ring the place
    in bits 0-14 and the wrap counter in bit 15, as SET_VRING_BASE has them).
    """

    def add(
        self, readable: Sequence[tuple[int, int]] = (), writable: Sequence[tuple[int, int]] = (),
        table: int | None = None,
    ) -> int:  # fmt: skip
        """Offers one buffer: (address, size) pieces that the device may read, then pieces that it may write.

        ``table``: the address of 16 B of free guest memory for each piece: the descriptors go there, and the ring holds
        one indirect descriptor. Returns the buffer's id. The device sees it after ``publish``. Raises ValueError for a
        buffer of no bytes, IndexError when the ring has too few free places, RingError for a broken ring.
        """
        pieces = elements(readable, writable)
        if table is not None and not self.indirect:
            raise ValueError(say("virtio.no_indirect"))
        if len(pieces) > self.size:
            raise IndexError(say("virtio.long", pieces=len(pieces), size=self.size))
        needed = 1 if table is not None else len(pieces)
        if needed > self.free:
            raise IndexError(say("virtio.full", needed=needed, free=self.free))
        return self._add(pieces, table)

    @property
    @abstractmethod
    def free(self) -> int:
        """Places of the ring for further descriptors. ``free`` and those in flight add up to ``size``."""

    @property
    @abstractmethod
    def in_flight(self) -> int:
        """Buffers that were added and have not come back."""

    @abstractmethod
    def _add(self, pieces: list[tuple[int, int, bool]], table: int | None) -> int: ...

    @abstractmethod
    def publish(self) -> bool:
        """Shows the device all that was added; returns whether it wants to be told (a kick)."""

    @abstractmethod
    def take(self) -> list[Used]:
        """All buffers that came back since the last time; their ids are free again. Raises RingError for a liar."""

    @abstractmethod
    def calls(self, after: int | None = 1) -> bool:
        """Asks the device to call when ``after`` more buffers came back; None: not at all.

        Returns True when that many are there already: then no call may come, and the driver must ``take`` again
        *before it sleeps*. Without EVENT_IDX a ring can only ask for every call or for none. With EVENT_IDX a split
        ring cannot say "never": one call in 65,536 buffers still comes.
        """

    def counts(self, title: str, work: float = 1, unit: str = "request") -> Counts:
        """Kicks and memory accesses of this side so far."""
        kicks = {key: self.notifications[key] for key in ("kicks", "kicks_suppressed")}
        accesses = self.memory.accesses.counts(title, work, unit)
        return Counts(title, {**kicks, **accesses.values}, work, unit)


class Device(_Side, ABC):
    """The host's side: ``pop`` buffers, ``push`` them back, ``publish`` that, ask for ``kicks``.

    It trusts nothing that it reads: every address, length, flag and index is held to the rules before it is used.
    """

    @property
    @abstractmethod
    def next_avail(self) -> int:
        """Where the next buffer will be popped, as a ``start`` takes it: a ring can go on from there."""

    @abstractmethod
    def pop(self) -> Chain | None:
        """The next buffer that the driver offers, or None. Raises RingError for one that is against the rules."""

    def push(self, chain: Chain, written: int = 0) -> None:
        """Gives a buffer back, with how many bytes were written. The driver sees it after ``publish``.

        Raises ValueError for a buffer that is not in flight, that is given back out of order where IN_ORDER was
        negotiated, or that cannot hold that many bytes.
        """
        if not 0 <= written <= chain.capacity:
            raise ValueError(say("virtio.capacity", size=written, capacity=chain.capacity))
        if self._flying.get(chain.id) is not chain:
            raise ValueError(say("virtio.not_in_flight", id=chain.id))
        if self.in_order and next(iter(self._flying)) != chain.id:
            raise ValueError(say("virtio.out_of_order", id=chain.id, first=next(iter(self._flying))))
        del self._flying[chain.id]
        self._done.append((chain, written))

    def __init__(self, memory: GuestMemory, layout: Layout, features: Feature) -> None:
        super().__init__(memory, layout, features)
        self._flying: dict[int, Chain] = {}
        self._done: list[tuple[Chain, int]] = []

    @property
    def in_flight(self) -> int:
        """Buffers that were popped and not pushed."""
        return len(self._flying)

    def _fly(self, chain: Chain) -> Chain:
        if chain.id in self._flying:
            raise RingError("twice", id=chain.id)
        self._flying[chain.id] = chain
        return chain

    def _batches(self) -> list[tuple[Chain, int, list[Chain]]]:
        """What was pushed, as (buffer to write out, bytes written, buffers that it stands for, itself the last).

        With IN_ORDER one entry stands for a whole batch, but a buffer that is passed over counts as written to its end:
        one that was not must be written out itself.
        """
        batches: list[tuple[Chain, int, list[Chain]]] = []
        batch: list[Chain] = []
        for n, (chain, written) in enumerate(self._done):
            batch.append(chain)
            if not self.in_order or n == len(self._done) - 1 or written < chain.capacity:
                batches.append((chain, written, batch))
                batch = []
        self._done = []
        return batches

    @abstractmethod
    def publish(self) -> bool:
        """Shows the driver all that was pushed; returns whether it wants to be told (a call)."""

    @abstractmethod
    def kicks(self, wanted: bool = True) -> bool:
        """Asks the driver to kick at the next buffer, or not to kick.

        Returns True when a buffer is there already: then no kick may come, and the device must ``pop`` again *before it
        sleeps*.
        """
