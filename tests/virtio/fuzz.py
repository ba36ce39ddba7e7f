"""Rings of liars: valid rings with some fields overwritten, and rings of noise. What a device must do with each."""
import random

from tests.virtio.rings import ALL, EVENT_IDX, IN_ORDER, INDIRECT, PLAIN, Ring
from virtlab.virtio import RingError, SplitLayout
from virtlab.virtio.layout import NEXT

MEMORY_BYTES, SIZE = 2048, 8
VALUES = (0, 1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 255, 0x7FFF, 0x8000, 0xFFFF, 1 << 31, (1 << 32) - 1, 1 << 63, -1)


def fuzz(kind, seed, count):
    """Serves ``count`` damaged rings; returns how many ended in an error, by its code. Raises AssertionError.

    A device must come back after a bounded number of accesses, hand out only guest memory, write nothing but its own
    area (and the ring of a packed one), and stay broken once it has found a lie.
    """
    rng = random.Random(seed)
    codes = {}
    for _ in range(count):
        ring = Ring(kind, SIZE, rng.choice((PLAIN, INDIRECT, EVENT_IDX, EVENT_IDX | INDIRECT, IN_ORDER, ALL)),
                    memory_bytes=MEMORY_BYTES)
        _offer(ring, rng)
        _damage(ring, rng)
        code = _serve(ring, rng)
        codes[code] = codes.get(code, 0) + 1
    return codes


def _offer(ring, rng):
    for _ in range(rng.randrange(1, 4)):
        indirect = INDIRECT in ring.driver.features and rng.random() < 0.4
        pieces = rng.randrange(1, 4)
        if ring.driver.free >= pieces:
            ring.driver.add([(1024 + 16 * rng.randrange(8), 16)], [(1280, 64)] * (pieces - 1),
                            table=1536 + 64 * rng.randrange(4) if indirect else None)
    ring.driver.publish()


def _damage(ring, rng):
    raw = ring.memory.bytes
    for _ in range(rng.randrange(1, 5)):
        match rng.randrange(5):
            case 0:  # a field of a descriptor, of the ring or of an indirect table becomes a number of note
                size = rng.choice((2, 4, 8))
                at = rng.choice((ring.layout.desc + 2 * rng.randrange(64), ring.layout.driver + 2 * rng.randrange(8),
                                 1536 + 2 * rng.randrange(100)))
                raw[at:at + size] = (rng.choice(VALUES) & (1 << 8 * size) - 1).to_bytes(size, "little")
            case 1:  # one bit
                raw[rng.randrange(ring.layout.device)] ^= 1 << rng.randrange(8)
            case 2:  # the driver runs ahead
                ring.memory.store16(ring.layout.driver + 2, rng.choice((1, 2, 3, 8, 9, 0x8000, 0xFFFF)))
            case 3:  # one descriptor stands everywhere and goes on
                desc = ring.layout.desc
                raw[desc + 14 - 2 * (type(ring.layout) is SplitLayout)] |= NEXT
                raw[desc:desc + 16 * SIZE] = raw[desc:desc + 16] * SIZE
            case 4 if rng.random() < 0.1:
                raw[:ring.layout.device] = rng.randbytes(ring.layout.device)


def _serve(ring, rng):
    memory, device = ring.memory, ring.device
    own = range(0 if type(ring.layout) is not SplitLayout else ring.layout.device, ring.layout.device + 128)
    before, memory.accesses.reads = bytes(memory.bytes), 0
    code, held = "", []
    try:
        for _ in range(3):
            while (chain := device.pop()) is not None:
                held.append(chain)
                for address, size in (*chain.readable, *chain.writable):
                    assert 0 <= address and 0 < size and address + size <= MEMORY_BYTES, "handed out what is no memory"
                assert len(held) <= SIZE, "more buffers than places"
                if rng.random() < 0.5:
                    while held:
                        device.push(held.pop(0), 0)
                    device.publish()
            device.kicks(rng.random() < 0.5)
    except RingError as error:
        code = error.code
        for verb in (device.pop, device.kicks):
            try:
                verb()
            except RingError as again:
                assert again is error
            else:
                raise AssertionError("a broken ring is served on") from error
    limit = 3 * (SIZE + 1) * (2 * SIZE + 8)
    assert memory.accesses.reads < limit, f"{memory.accesses.reads} reads for a ring of {SIZE} places"
    after = bytes(memory.bytes)
    assert before[:own.start] + before[own.stop:] == after[:own.start] + after[own.stop:], "wrote what is not its own"
    return code
