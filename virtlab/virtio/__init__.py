"""The virtqueue byte by byte: split and packed rings, driver's and device's side, on any guest memory."""

from virtlab.virtio.chain import Chain, Element, RingError, Used
from virtlab.virtio.events import need_event, need_event_packed
from virtlab.virtio.explorer import NOTIFICATION_BARRIERS, Found, explore
from virtlab.virtio.layout import (
    NO_FEATURES,
    Feature,
    Field,
    Layout,
    PackedLayout,
    SplitLayout,
    align_as_printed,
    legacy_bytes,
)
from virtlab.virtio.memory import Accesses, Arena, GuestAddressError, GuestMemory, LocalMemory, MappedMemory, Region
from virtlab.virtio.packed import PackedDevice, PackedDriver
from virtlab.virtio.registers import RequestCost, ide_request, virtio_batch
from virtlab.virtio.sides import Device, Driver
from virtlab.virtio.split import SplitDevice, SplitDriver

__all__ = [
    "NOTIFICATION_BARRIERS", "NO_FEATURES", "Accesses", "Arena", "Chain", "Device", "Driver", "Element", "Feature",
    "Field", "Found", "GuestAddressError", "GuestMemory", "Layout", "LocalMemory", "MappedMemory", "PackedDevice",
    "PackedDriver", "PackedLayout", "Region", "RequestCost", "RingError", "SplitDevice", "SplitDriver", "SplitLayout",
    "Used", "align_as_printed", "explore", "ide_request", "legacy_bytes", "need_event", "need_event_packed",
    "virtio_batch",
]  # fmt: skip
