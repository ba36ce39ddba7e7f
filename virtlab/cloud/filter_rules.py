"""Packets, rules on their header fields, and the scan of all rules, which says what a verdict is."""

from __future__ import annotations

import ipaddress
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from virtlab.core.parameter import ParameterError

Action = Literal["allow", "deny"]
#: Bits of each field of a header, in the order of :class:`Packet`.
BITS = (32, 32, 8, 16, 16)
#: The verdict where no rule matches, as in a security group.
NO_RULE: Action = "deny"
_NETWORK = 0x0A000000  # 10.0.0.0


class Packet(NamedTuple):
    """The header fields that a filter reads. It is also the key of a flow cache."""

    source: int
    destination: int
    protocol: int
    source_port: int
    destination_port: int


Mask = tuple[int, int, int, int, int]


@dataclass(frozen=True)
class Rule:
    """Matches a packet whose header, masked, is ``value``. Of two that match the higher ``priority`` decides."""

    priority: int
    action: Action
    value: Mask
    mask: Mask

    @classmethod
    def of(
        cls, priority: int, action: Action, *, source: str = "0.0.0.0/0", destination: str = "0.0.0.0/0",
        protocol: int | None = None, source_port: int | None = None, destination_port: int | None = None,
    ) -> Rule:  # fmt: skip
        """A rule from prefixes (``"10.0.0.0/8"``) and numbers; None matches all. Raises ParameterError."""
        if action not in ("allow", "deny"):
            raise ParameterError(f"action must be allow or deny; you gave {action!r}: a filter knows no other verdict.")
        pairs = [_prefix(source), _prefix(destination)]
        for number, bits in zip((protocol, source_port, destination_port), BITS[2:], strict=True):
            if number is not None and not 0 <= number < 1 << bits:
                raise ParameterError(f"a field of {bits} bits holds 0 to {(1 << bits) - 1:,}; you gave {number!r}.")
            pairs.append((0, 0) if number is None else (number, (1 << bits) - 1))
        value, mask = (_five(numbers) for numbers in zip(*pairs, strict=True))
        return cls(priority, action, value, mask)

    def matches(self, packet: Packet) -> bool:
        """Whether the packet's header under the mask is the rule's value."""
        return masked(packet, self.mask) == self.value


def masked(packet: Packet, mask: Mask) -> Mask:
    """The bits of the header that ``mask`` keeps."""
    a, b, c, d, e = packet
    v, w, x, y, z = mask
    return a & v, b & w, c & x, d & y, e & z


def ranked(rules: Sequence[Rule]) -> list[Rule]:
    """The rules in the order in which they decide: by priority, and of equal ones the earlier first."""
    return sorted(rules, key=lambda rule: -rule.priority)


def scan(rules: Sequence[Rule], packet: Packet) -> Action:
    """The verdict, from one rule after another: slow, and the meaning that everything faster must keep."""
    return next((rule.action for rule in ranked(rules) if rule.matches(packet)), NO_RULE)


def random_rules(rules: int, masks: int, seed: int = 0) -> list[Rule]:
    """``rules`` rules with ``masks`` different masks (at most 72) for :func:`random_packets`, so that they meet.

    The masks take part in turn. Raises ParameterError.
    """
    shapes = list(itertools.product((0, 28, 32), (0, 28, 32), (0, 8), (0, 16), (0, 16)))
    if not 1 <= masks <= len(shapes):
        raise ParameterError(f"masks must be 1 to {len(shapes)}; you gave {masks}: these fields have no more shapes.")
    random = np.random.default_rng(seed)
    chosen = [_mask(shapes[i]) for i in random.permutation(len(shapes))[:masks]]
    packets = random_packets(rules, seed + 1)
    priorities, allowed = random.integers(0, 8, rules), random.integers(0, 2, rules)
    return [
        Rule(int(priorities[n]), "allow" if allowed[n] else "deny", masked(packets[n], mask), mask)
        for n, mask in zip(range(rules), itertools.cycle(chosen), strict=False)
    ]


def random_packets(packets: int, seed: int = 0) -> list[Packet]:
    """Packets between 256 addresses, of two protocols and four ports, so that rules and flows repeat."""
    random = np.random.default_rng(seed)
    ends = _NETWORK + random.integers(0, 256, (packets, 2))
    rest = np.column_stack([random.choice([6, 17], packets), random.choice([22, 80, 443, 8080], (packets, 2))])
    return [Packet(*map(int, (*e, *r))) for e, r in zip(ends, rest, strict=True)]


def _mask(lengths: Sequence[int]) -> Mask:
    return _five([((1 << kept) - 1) << (bits - kept) for kept, bits in zip(lengths, BITS, strict=True)])


def _five(numbers: Sequence[int]) -> Mask:
    a, b, c, d, e = numbers
    return a, b, c, d, e


def _prefix(text: str) -> tuple[int, int]:
    try:
        network = ipaddress.IPv4Network(text)
    except ValueError as error:
        raise ParameterError(f"{text!r} is no IPv4 prefix such as 10.0.0.0/8: {error}.") from None
    return int(network.network_address), int(network.netmask)
