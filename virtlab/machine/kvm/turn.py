"""Who runs a vCPU: one thread at a time, and nobody any more once it is stopped."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from virtlab.core.words import say
from virtlab.machine.owning import MachineError

_PATIENCE_SECONDS = 5.0  # a hundred ticks of the watchdog


class Turn:
    """A second thread would wait in KVM where no signal reaches it, so it is refused here."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread = 0
        self._stopped = False

    @property
    def taken(self) -> bool:
        return self._lock.locked()

    @contextmanager
    def take(self) -> Iterator[None]:
        """Raises MachineError when another thread has it, or when it was stopped."""
        if not self._lock.acquire(blocking=False):
            raise MachineError(say("kvm.runs"))
        try:
            self.check()
            self._thread = threading.get_ident()
            yield
        finally:
            self._thread = 0
            self._lock.release()

    def check(self) -> None:
        """Raises MachineError when it was stopped: the guest is closed, or about to be."""
        if self._stopped:
            raise MachineError(say("kvm.closed"))

    def stop(self) -> None:
        """Returns when the thread that had it has left KVM, at its next tick; descriptors may be closed then."""
        self._stopped = True
        if self._thread != threading.get_ident() and self._lock.acquire(timeout=_PATIENCE_SECONDS):
            self._lock.release()
