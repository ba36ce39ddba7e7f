"""How many calls a batch causes, by what the driver asks of the ring: each, the last, none, or after three quarters.

With EVENT_IDX a driver names the entry at whose writing it wants to be called (used_event). Linux's delayed callback
(virtqueue_enable_cb_delayed) names the one that lies three quarters of what is under way ahead. Without EVENT_IDX a
ring can say "every" or "none" only.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from virtlab.core.parameter import ParameterError
from virtlab.core.words import say
from virtlab.evidence import FACTS
from virtlab.virtio import need_event

Asked = Literal["each", "delayed", "last", "none"]
_SHARE = FACTS["virtio.delayed_callback"].value
_MOST = 32_768  # a ring holds no more


class Calls(NamedTuple):
    """The least and the most: the device may go on while the driver takes what was called for."""

    least: int
    most: int


def delayed_event(last_used: int, pending: int) -> int:
    """The used_event of a delayed callback: three quarters of ``pending`` ahead, mod 2^16.

    Golden: 64 under way give last_used + 48, so that the 49th of them calls. Raises ParameterError.
    """
    if not 0 <= pending <= _MOST:
        raise ParameterError(say("moderation.error.pending", most=f"{_MOST:,}", given=repr(pending)))
    return (last_used + int(pending * _SHARE)) & 0xFFFF


def batch_calls(requests: int, asked: Asked = "last", event_idx: bool = True) -> Calls:
    """Calls for a batch that a device gives back one by one, on a split ring.

    ``least``: the driver is slow, and finds all done at its first call. ``most``: it is fast, has taken what is there
    and asked anew before the device goes on. Raises ParameterError.
    """
    if not 1 <= requests <= _MOST:
        raise ParameterError(say("moderation.error.batch", most=f"{_MOST:,}", given=repr(requests)))
    if asked == "none":
        return Calls(0, 0)
    if not event_idx:  # the flag is "every" until the driver says otherwise, which this one does not while it waits
        return Calls(requests, requests)
    if asked == "last":
        return Calls(1, 1)
    if asked == "each":
        return Calls(1, requests)
    done = calls = 0
    while done < requests:
        event = delayed_event(done, requests - done)
        done = next(used for used in range(done + 1, requests + 1) if need_event(event, used, used - 1))
        calls += 1
    return Calls(1, calls)
