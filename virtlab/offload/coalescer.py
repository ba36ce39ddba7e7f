"""A device that holds its notifications back, event by event and in whole ns: VirtIO's notification coalescing.

To the letter (VirtIO 1.4, section 5.1.6.5): the first packet after a notification starts the count and the timer; the
condition is met by the count or by the timer, whichever is first; with max_usecs or max_packets 0 each packet meets
it; a change of the parameters is checked at once; a reset makes both 0; and a condition that is met sends nothing while
the driver has suppressed notifications in the ring. "Best effort" allows a device to deviate: this one does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from virtlab.core.parameter import ParameterError
from virtlab.core.words import say

Cause = Literal["packet", "count", "timer", "change"]
_MOST = 2**32 - 1  # both are 32-bit fields


@dataclass(frozen=True)
class Notification:
    """The condition was met at ``at_ns`` for ``packets`` packets; ``sent`` unless the driver had suppressed it."""

    at_ns: int
    packets: int
    first_ns: int
    cause: Cause
    sent: bool

    @property
    def delay_ns(self) -> int:
        """How long the first of its packets was held back."""
        return self.at_ns - self.first_ns


class Coalescer:
    """One virtqueue of a network device. Times are whole ns and must not go backwards."""

    def __init__(self, max_packets: int = 0, max_usecs: int = 0) -> None:
        self.suppressed = False
        self.pending = 0
        self._first_ns = self._now_ns = 0
        self._set(max_packets, max_usecs)

    def _set(self, max_packets: int, max_usecs: int) -> None:
        for name, value in (("max_packets", max_packets), ("max_usecs", max_usecs)):
            if type(value) is not int or not 0 <= value <= _MOST:
                raise ParameterError(say("moderation.error.field", name=name, given=repr(value)))
        self.max_packets, self.max_usecs = max_packets, max_usecs

    @property
    def each(self) -> bool:
        """Whether every packet meets the condition."""
        return self.max_packets == 0 or self.max_usecs == 0

    @property
    def due_ns(self) -> int | None:
        """When the timer will have run out; None while nothing is pending."""
        return self._first_ns + 1000 * self.max_usecs if self.pending else None

    def packet(self, at_ns: int) -> list[Notification]:
        """A packet was received (or sent) at ``at_ns``. Returns what that, and the time up to then, brought about."""
        told = self.until(at_ns)
        if not self.pending:
            self._first_ns = at_ns
        self.pending += 1
        if self.each or self.pending >= self.max_packets:
            told.append(self._meet(at_ns, "packet" if self.each else "count"))
        return told

    def until(self, at_ns: int) -> list[Notification]:
        """Time passes up to ``at_ns``, the timer included. Raises ParameterError when it goes backwards."""
        if at_ns < self._now_ns:
            raise ParameterError(say("moderation.error.backwards", now=self._now_ns, given=at_ns))
        due = self.due_ns
        told = [self._meet(due, "timer")] if due is not None and due <= at_ns else []
        self._now_ns = at_ns
        return told

    def change(self, at_ns: int, max_packets: int, max_usecs: int) -> list[Notification]:
        """The driver sets new parameters; what is pending may meet the new condition at once."""
        told = self.until(at_ns)
        self._set(max_packets, max_usecs)
        met = self.each or self.pending >= max_packets or (due := self.due_ns) is not None and due <= at_ns
        return [*told, self._meet(at_ns, "change")] if self.pending and met else told

    def reset(self, at_ns: int) -> None:
        """A reset of the device: both parameters 0, nothing pending, nothing suppressed."""
        self._now_ns, self.pending, self.suppressed = at_ns, 0, False
        self._set(0, 0)

    def _meet(self, at_ns: int, cause: Cause) -> Notification:
        found = Notification(at_ns, self.pending, self._first_ns, cause, not self.suppressed)
        self.pending = 0
        return found
