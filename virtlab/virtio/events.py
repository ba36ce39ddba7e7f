"""When must the other side be told? The one comparison of EVENT_IDX, for split and for packed rings."""

from __future__ import annotations


def need_event(event: int, new: int, old: int) -> bool:
    """Whether an index that moved from ``old`` to ``new`` passed ``event``: some k of old .. new-1 equals it mod 2^16.

    Indices run free: they count to 65,535 and on to 0, and are never reduced to the ring before they are compared. A
    move by a multiple of 65,536 looks like none, so a batch must be smaller (a ring holds at most 32,768 buffers).
    Source: VirtIO 1.4, 2.7.7.2 and 2.7.10; Linux, include/uapi/linux/virtio_ring.h.
    """
    return (new - event - 1) & 0xFFFF < (new - old) & 0xFFFF


def need_event_packed(offset: int, wrap: int, new: int, moved: int, new_wrap: int, size: int) -> bool:
    """The same for a packed ring: whether the last ``moved`` descriptors before place ``new`` hold the awaited one.

    The other side awaits place ``offset`` (less than ``size``) in its round ``wrap``; ``new`` is the next place to be
    written, in round ``new_wrap``. Places are made continuous: one of the round before lies ``size`` lower.
    Source: VirtIO 1.4, 2.8.10; Linux, drivers/virtio/virtio_ring.c.
    """
    if wrap != new_wrap:
        offset -= size
    return (new - offset - 1) & 0xFFFF < moved & 0xFFFF
