"""How many packets a link can carry, and how much time that leaves for each."""

from __future__ import annotations

from virtlab.evidence import FACTS


def line_rate(link_gbit_per_s: float, frame_bytes: int) -> float:
    """Frames per second at line rate: each frame takes its bytes (with checksum) and 20 B of preamble and gap.

    Golden: 10 Gb/s and 64 B give 14.88 M/s, 100 Gb/s and 64 B give 148.81 M/s (IEEE 802.3).
    """
    if not 0.01 <= link_gbit_per_s <= 10_000:
        raise ValueError(
            f"link_gbit_per_s must be 0.01 to 10,000 Gb/s; you gave {link_gbit_per_s!r}: there is no such link."
        )
    shortest, longest = FACTS["ethernet.frame.min"].value, FACTS["ethernet.frame.jumbo"].value
    if not shortest <= frame_bytes <= longest:
        raise ValueError(
            f"frame_bytes must be {shortest:g} to {longest:g} bytes; you gave {frame_bytes!r}: "
            "Ethernet carries nothing shorter, and nothing longer than a jumbo frame."
        )
    return link_gbit_per_s * 1e9 / (8 * (frame_bytes + FACTS["ethernet.gap"].value))


def budget_cycles(link_gbit_per_s: float, frame_bytes: int, clock_ghz: float) -> float:
    """CPU cycles between two frames at line rate, for one core at ``clock_ghz`` (100 Gb/s, 64 B, 3 GHz: 20 cycles)."""
    if not 0.1 <= clock_ghz <= 10:
        raise ValueError(f"clock_ghz must be 0.1 to 10 GHz; you gave {clock_ghz!r}: no CPU runs at that clock.")
    return clock_ghz * 1e9 / line_rate(link_gbit_per_s, frame_bytes)
