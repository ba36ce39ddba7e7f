"""A real Linux guest without KVM: a kernel, an initramfs built in Python, and QEMU's emulation to run them."""

from virtlab.machine.guest.boot import DISK, Booted, Guest, boot_guest
from virtlab.machine.guest.kernel import Kernel, find_kernel

__all__ = ["DISK", "Booted", "Guest", "Kernel", "boot_guest", "find_kernel"]
