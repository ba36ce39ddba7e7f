"""Split, packed and in-order rings are the same queue to whoever uses them: differential tests against a plain one."""
import random
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.virtio.rings import ALL, EVENT_IDX, IN_ORDER, INDIRECT, PLAIN, Ring

SIZE, ROOM = 8, 24


class Queue:
    """A driver with its slots of guest memory and a device that answers each request with bytes of its own."""

    def __init__(self, kind, features, start=None):
        self.ring = Ring(kind, SIZE, features, start)
        self.in_order = IN_ORDER in features
        self.indirect = INDIRECT in features
        self.slots = deque(tuple(self.ring.arena.take(ROOM * 4) for _ in range(3)) for _ in range(SIZE))
        self.flying, self.popped = {}, []

    def offer(self, name, pieces, answer_bytes, table):
        """One request: its name in `pieces` parts to read, and room for an answer. False when the ring is full."""
        data = name.to_bytes(4, "little")
        parts = [data[:2], data[2:]] if pieces == 2 else [data]
        indirect = table and self.indirect
        if self.ring.driver.free < (1 if indirect else len(parts) + bool(answer_bytes)):
            return False
        slot = self.slots.popleft()
        readable, at = [], slot[0]
        for part in parts:
            self.ring.memory.write(at, part)
            readable.append((at, len(part)))
            at += len(part)
        self.ring.memory.write(slot[1], b"\0" * ROOM)
        writable = [(slot[1], answer_bytes)] if answer_bytes else []
        ident = self.ring.driver.add(readable, writable, table=slot[2] if indirect else None)
        assert ident not in self.flying, "an id is given to one buffer at a time"
        self.flying[ident] = name, slot
        return True

    def pop(self):
        chain = self.ring.device.pop()
        if chain is None:
            return None
        self.popped.append(chain)
        return int.from_bytes(chain.read(self.ring.memory), "little"), chain.capacity

    def answer(self, which, written):
        chain = self.popped.pop(0 if self.in_order else which % len(self.popped))
        data = bytes(random.Random(chain.id).randbytes(min(written, chain.capacity)))
        self.ring.device.push(chain, chain.write(self.ring.memory, data))

    def take(self):
        """(name, bytes of the answer) of what came back."""
        taken = []
        for ident, written in self.ring.driver.take():
            name, slot = self.flying.pop(ident)
            self.slots.append(slot)
            taken.append((name, self.ring.memory.read(slot[1], written) == random.Random(ident).randbytes(written)))
        return taken


VERBS = st.one_of(
    st.tuples(st.just("offer"), st.integers(1, 2), st.integers(0, ROOM), st.booleans()),
    st.sampled_from([("publish",), ("pop",), ("complete",), ("take",)]),
    st.tuples(st.just("answer"), st.integers(0, 7), st.integers(0, ROOM)),
)  # fmt: skip


@pytest.mark.parametrize("features", [PLAIN, INDIRECT, EVENT_IDX, ALL], ids=["plain", "indirect", "event_idx", "all"])
@pytest.mark.parametrize(("kind", "start"), [("split", None), ("split", 65_533), ("packed", None), ("packed", 6)])
@given(verbs=st.lists(VERBS, max_size=80))
def test_every_ring_is_a_first_in_first_out_offer_and_gives_each_buffer_back_once(kind, start, features, verbs):
    queue = Queue(kind, features, start)
    offered, hidden, waiting, done, back = 0, [], deque(), [], []
    for verb, *args in verbs:
        if verb == "offer" and queue.offer(offered, *args):
            hidden.append((offered, args[1]))
            offered += 1
        elif verb == "publish":
            queue.ring.driver.publish()
            waiting.extend(hidden)
            hidden.clear()
        elif verb == "pop":
            assert queue.pop() == (waiting.popleft() if waiting else None), "in the order of the offers, whole"
        elif verb == "answer" and queue.popped:
            queue.answer(*args)
        elif verb == "complete":
            queue.ring.device.publish()
        elif verb == "take":
            done += queue.take()
    # to the end: nothing is lost, nothing comes twice, and every byte of every answer is the device's
    queue.ring.driver.publish()
    waiting.extend(hidden)
    while (found := queue.pop()) is not None:
        assert found == waiting.popleft()
    while queue.popped:
        queue.answer(0, 1)
    queue.ring.device.publish()
    done += queue.take()
    back = [name for name, _ in done]
    assert not waiting and sorted(back) == list(range(offered))
    if queue.in_order:
        assert back == list(range(offered))
    assert queue.ring.driver.free == SIZE and queue.ring.driver.in_flight == queue.ring.device.in_flight == 0


@given(verbs=st.lists(VERBS, max_size=60))
def test_with_the_same_verbs_split_and_packed_in_order_rings_return_the_same(verbs):
    """In order, even the moment is the same: whatever one ring shows, the other shows too."""
    rings = [Queue("split", ALL), Queue("packed", ALL), Queue("split", IN_ORDER), Queue("packed", IN_ORDER)]
    for n, (verb, *args) in enumerate(verbs):
        if verb == "offer":
            args[2] = False  # without tables, so that all have as many places free
            seen = [q.offer(n, *args) for q in rings]
        elif verb == "publish":
            seen = [q.ring.driver.publish() and None for q in rings]
        elif verb == "pop":
            seen = [q.pop() for q in rings]
        elif verb == "answer":
            seen = [q.answer(*args) if q.popped else None for q in rings]
        elif verb == "complete":
            seen = [q.ring.device.publish() and None for q in rings]
        else:
            seen = [[name for name, _ in q.take()] for q in rings]
        assert all(s == seen[0] or {s, seen[0]} == {False, None} for s in seen[1:]), (verb, seen)
