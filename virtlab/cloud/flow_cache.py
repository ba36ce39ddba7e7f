"""A flow cache: the verdicts of single flows under their whole header, with a capacity and real eviction.

``two_places`` is the exact-match cache (EMC) of the userspace datapath of Open vSwitch: the hash of a flow names two
entries, and a new flow takes an empty one, else the one whose own flow has the smaller hash. A hit changes nothing.
``lru`` evicts the flow that was not used for longest, wherever it is.
"""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, Literal, TypeVar

from virtlab.core.parameter import ParameterError

V = TypeVar("V")
CachePolicy = Literal["two_places", "lru"]
_WORD = (1 << 64) - 1


class FlowCache(Generic[V]):
    """Keeps the values of at most ``entries`` keys. A key that missed is put in with ``insert_probability``."""

    def __init__(
        self, entries: int, policy: CachePolicy = "two_places", insert_probability: float = 1.0, seed: int = 0
    ) -> None:
        if entries < 1 or not 0 <= insert_probability <= 1 or policy not in ("two_places", "lru"):
            raise ParameterError(
                f"a flow cache has at least 1 entry, an insert_probability of 0 to 1, and policy two_places or lru; "
                f"you gave {entries}, {insert_probability}, {policy!r}."
            )
        self.entries, self.policy, self.insert_probability = entries, policy, insert_probability
        self.lookups = self.hits = self.insertions = self.evictions = 0
        self._random = random.Random(seed)
        self._kept: OrderedDict[Hashable, V] = OrderedDict()
        self._places: dict[int, tuple[int, Hashable]] = {}  # of two_places: who is where, with its hash

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def hit_share(self) -> float:
        """Hits of all look-ups; 0 before the first."""
        return self.hits / self.lookups if self.lookups else 0.0

    def get(self, key: Hashable) -> V | None:
        """The value kept under ``key``, or None. Counts one look-up."""
        self.lookups += 1
        value = self._kept.get(key)
        if value is not None:
            self.hits += 1
            if self.policy == "lru":
                self._kept.move_to_end(key)
        return value

    def offer(self, key: Hashable, value: V) -> None:
        """Puts a key that missed in, or not, by chance; what has to go for it goes."""
        if self.insert_probability < 1 and self._random.random() >= self.insert_probability:
            return
        self.insertions += 1
        if self.policy == "two_places":
            self._make_place(key)
        elif key not in self._kept and len(self._kept) >= self.entries:
            self._kept.popitem(last=False)
            self.evictions += 1
        self._kept[key] = value

    def clear(self) -> None:
        """Forgets everything, as after a change of the rules. The counts stay."""
        self._kept.clear()
        self._places.clear()

    def _make_place(self, key: Hashable) -> None:
        if key in self._kept:
            return
        own = mixed(key)
        places = (own % self.entries, (own >> 32) % self.entries)
        empty = [place for place in places if place not in self._places]
        place = empty[0] if empty else min(places, key=lambda p: self._places[p][0])
        if not empty:
            del self._kept[self._places[place][1]]
            self.evictions += 1
        self._places[place] = own, key


def mixed(key: Hashable) -> int:
    """64 well-mixed bits of a number or of a tuple of numbers: the finalizer of splitmix64, over its parts in turn."""
    state = 0
    for part in key if isinstance(key, tuple) else (key,):
        z = (state + int(part) + 0x9E3779B97F4A7C15) & _WORD
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _WORD
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _WORD
        state = z ^ (z >> 31)
    return state
