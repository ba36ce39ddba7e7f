"""The TLB simulator once more, as one would write it first: ordered dictionaries, one step after the other."""

from __future__ import annotations

from collections import Counter, OrderedDict

SHIFT = {"4K": 12, "2M": 21, "1G": 30}
LEAF = {"4K": 1, "2M": 2, "1G": 3}


class Lru:
    """A set-associative structure; without sets it never has anything."""

    def __init__(self, entries, ways):
        self.ways, self.sets = ways, [OrderedDict() for _ in range(entries // ways)]

    def has(self, tag):
        if not self.sets:
            return False
        chosen = self.sets[tag % len(self.sets)]
        if tag in chosen:
            chosen.move_to_end(tag)
            return True
        if len(chosen) == self.ways:
            chosen.popitem(last=False)
        chosen[tag] = True
        return False


class PlainWalk:
    """`run` gives the fields of a TlbResult."""

    def __init__(self, tlb, guest_page, host_page, guest_levels, host_levels, warm):
        self.guest_page, self.host_page, self.warm = guest_page, host_page, warm
        self.guest_levels, self.host_levels = guest_levels, host_levels

        def part(name):
            return Lru(getattr(tlb, f"{name}_entries"), getattr(tlb, f"{name}_ways"))

        def host_part(name):
            return part(name) if tlb.host_caches else Lru(0, 1)

        self.l1, self.l2, self.nested = part("l1"), part("l2"), part("nested")
        names = {2: "pde", 3: "pdpte", 4: "pml4e", 5: "pml5e"}
        self.guest_caches = {level: part(name) for level, name in names.items()}
        self.host_caches = {level: host_part(name) for level, name in names.items()}
        self.count = Counter()

    def tables_to_read(self, caches, address, leaf, levels):
        """The levels that are still to be read, the highest first, and whether a cache knew the way to the first."""
        for level in range(leaf + 1, levels + 1):
            if caches[level].has(address >> (12 + 9 * (level - 1))):
                return range(level - 1, leaf - 1, -1), True
        return range(levels, leaf - 1, -1), False

    def table_address(self, address, level):
        """Where a self-map in the last entry of the root shows the table: indices move down, the last one moves in."""
        indices = [address >> (12 + 9 * k) & 511 for k in range(self.guest_levels)]  # lowest first
        moved = indices[level:] + [511] * level
        return sum(index << (12 + 9 * k) for k, index in enumerate(moved))

    def to_host(self, physical, target):
        self.count["lookup", target] += 1
        if self.nested.has(physical >> SHIFT[self.host_page]):
            self.count["hit", target] += 1
            return
        levels, _ = self.tables_to_read(self.host_caches, physical, LEAF[self.host_page], self.host_levels)
        for level in levels:
            self.count["host", target, level] += 1

    def reference(self, address):
        virtual = self.host_page is not None
        entry = min(SHIFT[self.guest_page], SHIFT[self.host_page]) if virtual else SHIFT[self.guest_page]
        if self.l1.has(address >> entry):
            self.count["l1"] += 1
        elif self.l2.has(address >> entry):
            self.count["l2"] += 1
        else:
            self.count["walk"] += 1
            levels, known = self.tables_to_read(self.guest_caches, address, LEAF[self.guest_page], self.guest_levels)
            for k, level in enumerate(levels):
                if virtual and not (known and k == 0):
                    self.to_host(self.table_address(address, level), level)
                self.count["guest", level] += 1
            if virtual:
                self.to_host(address, 0)

    def run(self, trace):
        for i, address in enumerate(trace):
            if i == self.warm:
                self.count.clear()
            self.reference(address)
        c, six = self.count, range(6)
        return (
            self.guest_page, self.host_page, len(trace) - self.warm, c["l1"], c["l2"], c["walk"],
            tuple(c["guest", level] for level in six),
            tuple(tuple(c["host", target, level] for level in six) for target in six),
            tuple(c["lookup", target] for target in six), tuple(c["hit", target] for target in six),
        )  # fmt: skip
