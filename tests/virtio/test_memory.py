"""Guest memory: bounded, counted, and 16-bit fields that nobody ever sees half-written."""
import mmap
import multiprocessing
import os
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.virtio import Arena, GuestAddressError, LocalMemory, MappedMemory, Region


def test_reads_and_writes_are_little_endian_and_counted():
    memory = LocalMemory(64)
    memory.store16(2, 0x1234)
    memory.write(8, b"abc")
    assert memory.read(2, 2) == b"\x34\x12" and memory.load16(2) == 0x1234 and memory.read(8, 3) == b"abc"
    assert (memory.accesses.reads, memory.accesses.read_bytes) == (3, 7)
    assert (memory.accesses.writes, memory.accesses.written_bytes) == (2, 5)
    counts = memory.accesses.counts("here")
    assert counts["memory_written_bytes"] == 5 and "bytes written to guest memory" in str(counts)


@given(address=st.integers(-70, 200), size=st.integers(-5, 200))
def test_nothing_outside_is_ever_touched(address, size):
    memory = MappedMemory([Region(64, 32, bytearray(32)), Region(128, 16, bytearray(40), 8)])
    inside = size >= 0 and (64 <= address and address + size <= 96 or 128 <= address and address + size <= 144)
    for access in (lambda: memory.read(address, size), lambda: memory.check(address, size),
                   lambda: memory.write(address, bytes(max(size, 0)))):
        if inside:
            access()
        elif size >= 0:
            with pytest.raises(GuestAddressError, match="not guest memory"):
                access()


def test_a_region_shows_its_part_of_the_buffer_and_no_more():
    held = bytearray(range(32))
    memory = MappedMemory([Region(0x1000, 8, held, 16)])
    assert memory.read(0x1000, 8) == bytes(range(16, 24))
    memory.write(0x1006, b"\xff\xff")
    assert held[22:25] == b"\xff\xff\x18"


@pytest.mark.parametrize("regions", [
    [Region(0, 64, bytearray(32))], [Region(0, 32, bytearray(32), 8)], [Region(0, 0, bytearray(8))],
    [Region(0, 7, bytearray(8))], [Region(0, 16, bytearray(16)), Region(8, 16, bytearray(16))]])
def test_regions_that_cannot_be_are_refused(regions):
    with pytest.raises(ValueError, match="region"):
        MappedMemory(regions)


@pytest.mark.parametrize("access", [lambda m: m.load16(3), lambda m: m.store16(3, 1)])
def test_a_16_bit_field_lies_at_an_even_address(access):
    with pytest.raises(GuestAddressError, match="even"):
        access(LocalMemory(16))


def test_released_memory_lets_its_mapping_be_closed_and_refuses_access():
    mapping = mmap.mmap(-1, 4096)
    memory = MappedMemory([Region(0, 4096, memoryview(mapping))])
    memory.release()
    with pytest.raises(GuestAddressError):
        memory.read(0, 1)
    mapping.close()


def test_an_arena_hands_out_aligned_pieces_until_it_is_empty():
    arena = Arena(10, 100)
    assert (arena.take(5), arena.take(5), arena.take(1, 1)) == (16, 32, 37)
    with pytest.raises(MemoryError, match="62 B are left"):
        arena.take(100, 1)


def _look(fd, seconds):
    with mmap.mmap(fd, 4096) as mapping:
        memory = MappedMemory([Region(0, 4096, memoryview(mapping))])
        end, seen = time.monotonic() + seconds, set()
        while time.monotonic() < end:
            seen.update(memory.load16(64) for _ in range(1000))
        memory.release()
    os._exit(0 if seen <= {0x5A5A, 0xA5A5} else 1)


@pytest.mark.machine
@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="needs memfd_create (Linux)")
def test_another_process_never_sees_a_16_bit_store_half_done():
    """struct.pack_into fails this within a second: it writes zeros first."""
    fd = os.memfd_create("torn")
    os.truncate(fd, 4096)
    with mmap.mmap(fd, 4096) as mapping:
        memory = MappedMemory([Region(0, 4096, memoryview(mapping))])
        memory.store16(64, 0x5A5A)
        other = multiprocessing.get_context("fork").Process(target=_look, args=(fd, 1.0))
        other.start()
        while other.is_alive():
            for _ in range(1000):
                memory.store16(64, 0xA5A5)
                memory.store16(64, 0x5A5A)
        other.join()
        memory.release()
    os.close(fd)
    assert other.exitcode == 0, "a value was seen that nobody stored"
