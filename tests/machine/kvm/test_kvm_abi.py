"""The numbers of KVM's interface, against the header of this computer; and what is read from its shared memory."""
import re
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from virtlab.machine.kvm import abi, exits
from virtlab.machine.kvm.coalesced import Access, Ring
from virtlab.machine.kvm.stats import Statistics
from virtlab.machine.owning import MachineError

HEADER = Path("/usr/include/linux/kvm.h")
SIZES = {  # of the structures in the header, on x86
    "kvm_userspace_memory_region": abi.MEMORY_REGION.size, "kvm_coalesced_mmio_zone": abi.COALESCED_ZONE.size,
    "kvm_irqfd": abi.IRQFD.size, "kvm_ioeventfd": abi.IOEVENTFD.size, "kvm_regs": abi.REGISTERS.size,
    "kvm_sregs": abi.SREGS_SIZE, "kvm_signal_mask": 4, "kvm_cpuid2": 8,
}


@pytest.fixture(scope="module")
def header():
    if not HEADER.exists():
        pytest.skip("no kernel headers here")
    return HEADER.read_text(encoding="utf-8")


def test_exit_reasons_and_capabilities_are_those_of_the_header(header):
    reasons = dict(re.findall(r"#define KVM_EXIT_([A-Z0-9_]+)\s+(\d+)\n", header))
    known = {number: name for number, name in abi.REASONS.items() if name.upper() in reasons}
    assert known == {int(reasons[name.upper()]): name for name in known.values()} and len(known) >= 18
    numbers = dict(re.findall(r"#define (KVM_CAP_[A-Z0-9_]+)\s+(\d+)\n", header))
    ours = abi.NEEDED | {name: value for name, value in vars(abi).items() if name.startswith("KVM_CAP_")}
    assert {name: int(numbers[name]) for name in ours if name in numbers} == {
        name: number for name, number in ours.items() if name in numbers}
    assert len(set(ours) & set(numbers)) >= 8


def test_ioctls_are_those_of_the_header(header):
    direction = {"_IO": 0, "_IOW": 1, "_IOR": 2, "_IOWR": 3}
    found = {}
    for name, kind, number, struct_name in re.findall(
        r"#define (KVM_\w+)\s+(_IOW?R?)\(KVMIO,\s*(0x[0-9a-f]+)(?:,\s*struct (\w+))?\)", header
    ):
        if kind == "_IO" or struct_name in SIZES:
            found[name] = direction[kind] << 30 | SIZES.get(struct_name, 0) << 16 | 0xAE << 8 | int(number, 16)
    ours = {name: value for name, value in vars(abi).items() if name in found}
    assert ours == {name: found[name] for name in ours} and len(ours) >= 18


def test_the_structures_have_the_sizes_that_the_ioctls_say():
    assert abi.REGISTERS.size == 144 and len(abi.REGISTER_NAMES) == 18
    assert abi.SEGMENT.size == 24 and abi.CONTROL_AT == 224 and abi.CONTROL_AT + abi.CONTROL.size + 32 == abi.SREGS_SIZE
    assert (abi.IOEVENTFD.size, abi.IRQFD.size, abi.COALESCED_ENTRY.size, abi.COALESCED_MAX) == (64, 32, 24, 170)


# --- kvm_run ----------------------------------------------------------------------------------------------------------


def run_with(reason, details=b"", size=2 * abi.PAGE):
    run = bytearray(size)
    struct.pack_into("<I", run, 8, reason)
    run[abi.EXIT_AT : abi.EXIT_AT + len(details)] = details
    return run


def test_a_write_to_a_port_is_read_with_its_data():
    run = run_with(2, abi.EXIT_IO.pack(1, 2, 0x3F8, 3, abi.PAGE))
    run[abi.PAGE : abi.PAGE + 6] = b"abcdef"
    assert exits.read(run, 7) == exits.Exit("io", 0x3F8, 2, 3, True, b"abcdef", ns=7)


def test_a_store_is_read_with_its_data():
    run = run_with(6, abi.EXIT_MMIO.pack(0xD000_0000, b"abcd????", 4, 1))
    assert exits.read(run) == exits.Exit("mmio", 0xD000_0000, 4, 1, True, b"abcd")


def test_a_reason_without_a_name_is_its_number():
    assert exits.read(run_with(4711)).reason == "4711"


@pytest.mark.parametrize(("reason", "name"), [(9, "fail_entry"), (17, "internal_error")])
def test_kvms_own_number_is_told(reason, name):
    assert exits.read(run_with(reason, (33).to_bytes(8, "little"))) == exits.Exit(name, detail=33)


@pytest.mark.parametrize(("reason", "details"), [
    (2, abi.EXIT_IO.pack(2, 1, 0, 1, abi.PAGE)),
    (2, abi.EXIT_IO.pack(1, 3, 0, 1, abi.PAGE)),
    (2, abi.EXIT_IO.pack(1, 1, 0, 0, abi.PAGE)),
    (2, abi.EXIT_IO.pack(1, 4, 0, 0xFFFF_FFFF, abi.PAGE)),
    (2, abi.EXIT_IO.pack(1, 1, 0, 1, 0)),
    (2, abi.EXIT_IO.pack(1, 4, 0, 1, 2 * abi.PAGE - 3)),
    (2, abi.EXIT_IO.pack(1, 1, 0, 1, 2**64 - 1)),
    (6, abi.EXIT_MMIO.pack(0, b"", 9, 1)),
    (6, abi.EXIT_MMIO.pack(0, b"", 0, 1)),
    (6, abi.EXIT_MMIO.pack(0, b"", 4, 2)),
])  # fmt: skip
def test_details_that_no_kvm_writes_are_refused(reason, details):
    with pytest.raises(MachineError, match="what no KVM writes"):
        exits.read(run_with(reason, details))


def test_a_read_is_answered_where_kvm_fetches_it():
    run = run_with(2, abi.EXIT_IO.pack(0, 2, 0x3F8, 1, abi.PAGE + 5))
    exits.answer(run, b"ab")
    assert run[abi.PAGE + 5 : abi.PAGE + 7] == b"ab"
    run = run_with(6, abi.EXIT_MMIO.pack(0xD000_0000, b"", 4, 0))
    exits.answer(run, b"abcd")
    assert abi.EXIT_MMIO.unpack_from(run, abi.EXIT_AT)[1] == b"abcd\0\0\0\0"


@pytest.mark.parametrize(("run", "data"), [
    (run_with(5), b"a"),
    (run_with(6, abi.EXIT_MMIO.pack(0, b"", 4, 1)), b"abcd"),
    (run_with(6, abi.EXIT_MMIO.pack(0, b"", 4, 0)), b"abc"),
])  # fmt: skip
def test_what_is_no_read_of_that_size_cannot_be_answered(run, data):
    with pytest.raises(MachineError, match="no read"):
        exits.answer(run, data)


# --- the ring of coalesced accesses -----------------------------------------------------------------------------------


def ring(first, last, **entries):
    shared = bytearray(3 * abi.PAGE)
    abi.COALESCED_RING.pack_into(shared, 2 * abi.PAGE, first, last)
    for at, entry in entries.items():
        abi.COALESCED_ENTRY.pack_into(shared, 2 * abi.PAGE + 8 + 24 * int(at[1:]), *entry)
    return shared


def test_the_ring_is_taken_in_order_across_its_end_and_then_empty():
    shared = ring(169, 1, _169=(0xD000_0000, 4, 0, b"1234"), _0=(0x3F8, 1, 1, b"x"))
    waiting = Ring(shared, 2 * abi.PAGE)
    assert waiting.take() == [Access(0xD000_0000, b"1234", False), Access(0x3F8, b"x", True)]
    assert waiting.take() == []


@pytest.mark.parametrize("shared", [ring(170, 0), ring(0, 170), ring(0, 2**32 - 1), ring(0, 1, _0=(0, 9, 0, b""))])
def test_a_ring_that_no_kvm_writes_is_refused(shared):
    with pytest.raises(MachineError, match="what no KVM writes"):
        Ring(shared, 2 * abi.PAGE).take()


@pytest.mark.parametrize("at", [-1, 2 * abi.PAGE + 1, 2**40])
def test_a_ring_outside_the_mapping_is_refused(at):
    with pytest.raises(MachineError):
        Ring(bytearray(3 * abi.PAGE), at)


# --- statistics -------------------------------------------------------------------------------------------------------


def statistics(header, descriptors=(), values=()):
    """A file as KVM writes it, names of 16 bytes; returns what reads it."""
    file = bytearray(4096)
    abi.STATS_HEADER.pack_into(file, 0, *header)
    for n, (name, items, offset) in enumerate(descriptors):
        at = 64 + n * 32
        abi.STATS_DESCRIPTOR.pack_into(file, at, 0, 0, items, offset, 0)
        file[at + 16 : at + 16 + len(name)] = name
    for offset, value in values:
        struct.pack_into("<Q", file, 1024 + offset, value)
    return Statistics(3, lambda fd, size, at: bytes(file[at : at + size]))


def test_counters_are_read_by_name_and_histograms_left_out():
    book = statistics((0, 16, 3, 24, 64, 1024), [(b"exits", 1, 8), (b"histogram", 32, 16), (b"io_exits", 1, 0)],
                      [(0, 7), (8, 2**63)])  # fmt: skip
    assert book.read() == {"exits": 2**63, "io_exits": 7}


def test_no_counters_are_none():
    assert statistics((0, 16, 0, 24, 64, 1024)).read() == {}


@pytest.mark.parametrize("header", [
    (0, 0, 1, 24, 64, 1024), (0, 2**20, 1, 24, 64, 1024), (0, 16, 2**30, 24, 64, 1024), (0, 16, 1, 24, 2**31, 1024),
    (0, 16, 1, 24, 64, 2**31), (0, 16, 200, 24, 64, 1024),
])
def test_a_header_that_cannot_be_true_is_refused(header):
    with pytest.raises(MachineError, match="statistics"):
        statistics(header, [(b"exits", 1, 0)])


@pytest.mark.parametrize("offset", [4000, 2**31])
def test_a_counter_outside_the_file_is_refused(offset):
    with pytest.raises(MachineError, match="statistics"):
        statistics((0, 16, 1, 24, 64, 1024), [(b"exits", 1, offset)]).read()


@pytest.mark.parametrize("system", ["darwin", "win32"])
def test_elsewhere_the_package_imports_without_numpy_and_says_why_it_cannot(system):
    code = f"""
import sys, virtlab.core.parameter  # with pydantic, which asks for the real system
sys.platform = {system!r}
if sys.platform == "win32":
    sys.modules["fcntl"] = None  # an import of it fails
import virtlab.machine.kvm as kvm
found = kvm.kind()
assert "numpy" not in sys.modules
print(found, kvm.measure(0.05)["loop"].missing == found.text, kvm.recorded().kind.name)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "KVM is a part of Linux" in done.stdout and done.stdout.endswith("True software\n")
