"""Linux's KVM interface as numbers: ioctls, capabilities, exit reasons and structures (<linux/kvm.h>, x86)."""

from __future__ import annotations

import errno
import struct
import sys

if sys.platform != "win32":
    from fcntl import ioctl
else:

    def ioctl(fd: int, request: int, arg: int = 0) -> int:
        raise OSError(errno.ENOSYS, "no ioctl on this system")


def _io(number: int) -> int:
    return 0xAE << 8 | number


def _iow(number: int, size: int) -> int:
    return 1 << 30 | size << 16 | _io(number)


def _ior(number: int, size: int) -> int:
    return 2 << 30 | size << 16 | _io(number)


API_VERSION = 12

# On /dev/kvm
KVM_GET_API_VERSION = _io(0x00)
KVM_CREATE_VM = _io(0x01)
KVM_CHECK_EXTENSION = _io(0x03)
KVM_GET_VCPU_MMAP_SIZE = _io(0x04)
KVM_GET_SUPPORTED_CPUID = 3 << 30 | 8 << 16 | _io(0x05)
# On a VM
KVM_CREATE_VCPU = _io(0x41)
KVM_SET_USER_MEMORY_REGION = _iow(0x46, 32)
KVM_SET_TSS_ADDR = _io(0x47)
KVM_CREATE_IRQCHIP = _io(0x60)
KVM_REGISTER_COALESCED_MMIO = _iow(0x67, 16)
KVM_IRQFD = _iow(0x76, 32)
KVM_IOEVENTFD = _iow(0x79, 64)
# On a vCPU
KVM_RUN = _io(0x80)
KVM_GET_REGS = _ior(0x81, 144)
KVM_SET_REGS = _iow(0x82, 144)
KVM_GET_SREGS = _ior(0x83, 312)
KVM_SET_SREGS = _iow(0x84, 312)
KVM_SET_SIGNAL_MASK = _iow(0x8B, 4)
KVM_SET_CPUID2 = _iow(0x90, 8)
KVM_GET_STATS_FD = _io(0xCE)  # on a VM too

#: What a guest cannot do without, by the name in kvm.h.
NEEDED = {
    "KVM_CAP_USER_MEMORY": 3, "KVM_CAP_SET_TSS_ADDR": 4, "KVM_CAP_EXT_CPUID": 7, "KVM_CAP_IOEVENTFD": 36,
    "KVM_CAP_IMMEDIATE_EXIT": 136,
}  # fmt: skip
KVM_CAP_IRQCHIP = 0
KVM_CAP_COALESCED_MMIO = 15  # its value is the page of the ring within the mapping of a vCPU
KVM_CAP_IRQFD = 32
KVM_CAP_COALESCED_PIO = 162
KVM_CAP_BINARY_STATS_FD = 203

#: KVM_EXIT_*: why KVM_RUN came back.
REASONS = {
    0: "unknown", 1: "exception", 2: "io", 3: "hypercall", 4: "debug", 5: "hlt", 6: "mmio", 7: "irq_window_open",
    8: "shutdown", 9: "fail_entry", 10: "intr", 11: "set_tpr", 12: "tpr_access", 16: "nmi", 17: "internal_error",
    24: "system_event", 26: "ioapic_eoi", 27: "hyperv", 29: "x86_rdmsr", 30: "x86_wrmsr", 31: "dirty_ring_full",
    33: "x86_bus_lock", 37: "notify", 39: "memory_fault",
}  # fmt: skip

# struct kvm_run: what is read and written of it
IMMEDIATE_EXIT = 1  # offset of the byte
EXIT_REASON = struct.Struct("<8xI")
EXIT_AT = 32  # where the union of details begins
EXIT_IO = struct.Struct("<BBHIQ")  # direction, size, port, count, data_offset
EXIT_MMIO = struct.Struct("<Q8sIB")  # address, data, length, is_write
MMIO_DATA_AT = EXIT_AT + 8
EXIT_FAIL_ENTRY = struct.Struct("<Q")
EXIT_INTERNAL_ERROR = struct.Struct("<I")

MEMORY_REGION = struct.Struct("<IIQQQ")  # slot, flags, guest address, size, our address
REGISTERS = struct.Struct("<18Q")
REGISTER_NAMES = (
    "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rsp", "rbp", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
    "rip", "rflags",
)  # fmt: skip
SREGS_SIZE = 312
SEGMENT = struct.Struct("<QIHBBBBBBBBBx")  # base, limit, selector, type, present, dpl, db, s, l, g, avl, unusable
SEGMENTS = 8  # cs ds es fs gs ss tr ldt, of which the first six are loaded
CONTROL = struct.Struct("<7Q")  # cr0 cr2 cr3 cr4 cr8 efer apic_base
CONTROL_AT = SEGMENTS * SEGMENT.size + 2 * 16  # after the segments, gdt and idt
SIGNAL_MASK = struct.Struct("<IQ")  # length of the set in bytes, the set
IOEVENTFD = struct.Struct("<QQIiI36x")  # datamatch, address, length, fd, flags
IOEVENTFD_DATAMATCH, IOEVENTFD_PIO = 1, 2
IRQFD = struct.Struct("<III20x")  # fd, gsi, flags
COALESCED_ZONE = struct.Struct("<QII")  # address, size, pio
COALESCED_RING = struct.Struct("<II")  # first, last
COALESCED_ENTRY = struct.Struct("<QII8s")  # address, length, pio, data
PAGE = 4096
COALESCED_MAX = (PAGE - COALESCED_RING.size) // COALESCED_ENTRY.size
CPUID_ENTRY_SIZE = 40
CPUID_ENTRIES = 256  # KVM_MAX_CPUID_ENTRIES
STATS_HEADER = struct.Struct("<6I")  # flags, name_size, num_desc, id_offset, desc_offset, data_offset
STATS_DESCRIPTOR = struct.Struct("<IhHII")  # flags, exponent, size, offset, bucket_size; then the name
