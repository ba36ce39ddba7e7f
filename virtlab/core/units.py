"""The one formatter: turns a number and its unit into what a person reads (1900 ns -> 1.9 µs)."""

from __future__ import annotations

import math

# (unit, factor) from large to small; the first one that the number reaches is taken.
_SCALES: dict[str, tuple[tuple[str, float], ...]] = {
    "ns": (("s", 1e9), ("ms", 1e6), ("µs", 1e3), ("ns", 1.0)),
    "B": (("TiB", 2.0**40), ("GiB", 2.0**30), ("MiB", 2.0**20), ("KiB", 2.0**10), ("B", 1.0)),
    "1/s": (("G/s", 1e9), ("M/s", 1e6), ("k/s", 1e3), ("/s", 1.0)),
    "IOPS": (("million IOPS", 1e6), ("k IOPS", 1e3), ("IOPS", 1.0)),
    "packets/s": (("Gpps", 1e9), ("Mpps", 1e6), ("kpps", 1e3), ("pps", 1.0)),
    "bit/s": (("Tb/s", 1e12), ("Gb/s", 1e9), ("Mb/s", 1e6), ("kb/s", 1e3), ("b/s", 1.0)),
    "USD": (("billion USD", 1e9), ("million USD", 1e6), ("USD", 1.0)),
    "cores": (("billion cores", 1e9), ("million cores", 1e6), ("cores", 1.0)),
    "servers": (("billion servers", 1e9), ("million servers", 1e6), ("servers", 1.0)),
}
# Units of the evidence files that are a scaled unit of the table above.
_ALIASES = {
    "us": ("ns", 1e3),
    "ms": ("ns", 1e6),
    "s": ("ns", 1e9),
    "KiB": ("B", 2.0**10),
    "MiB": ("B", 2.0**20),
    "GiB": ("B", 2.0**30),
    "Gb/s": ("bit/s", 1e9),
}


def show(value: float, unit: str = "1", digits: int = 3) -> str:
    """``value`` in ``unit`` as a person reads it, with ``digits`` significant digits.

    Times scale to ns, µs, ms or s, sizes to powers of 1024 (MiB), rates to powers of 1000.
    Unit ``"1"`` is a bare number, ``"%"`` and ``"share"`` show a share (0.1 -> 10 %). Any other unit is
    appended as it stands.
    """
    if value is None or math.isnan(value):
        return "unknown"
    if math.isinf(value):
        return "never" if value > 0 and unit in ("ns", "us", "ms", "s") else ("∞" if value > 0 else "-∞")
    if unit in ("%", "share"):
        return f"{number(100 * value, digits)} %"
    if unit in _ALIASES:
        unit, factor = _ALIASES[unit]
        value *= factor
    if unit not in _SCALES:
        return number(value, digits) + ("" if unit == "1" else f" {unit}")
    scale = _SCALES[unit]
    name, factor = next(((n, f) for n, f in scale if abs(value) >= f), scale[-1])
    text = number(value / factor, digits)
    # 999.96 rounds to 1000: one step up reads better
    position = scale.index((name, factor))
    if position and abs(float(text.replace(",", ""))) * factor >= scale[position - 1][1]:
        name, factor = scale[position - 1]
        text = number(value / factor, digits)
    return f"{text}{name}" if name.startswith("/") else f"{text} {name}"


def number(value: float, digits: int = 3) -> str:
    """A bare number with ``digits`` significant digits, no exponent below 10^15, no trailing zeros."""
    if value == 0:
        return "0"
    if not math.isfinite(value):
        return show(value)
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{min(decimals, 12)}f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def signed(value: float, unit: str = "1", digits: int = 3) -> str:
    """Like :func:`show`, with a plus sign before what is not negative (a gain or a loss)."""
    text = show(value, unit, digits)
    return text if text.startswith("-") else f"+{text}"
