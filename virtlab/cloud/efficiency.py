"""Two losses that are not the same and never simply added: capacity that is not sold, and slowdown of what is sold."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real

from virtlab.core.units import show
from virtlab.core.words import say


@dataclass(frozen=True, repr=False)
class Efficiency:
    """What is left of a server: shares of 1. ``host_tax`` is capacity not sold, ``slowdown`` what sold cores lose."""

    host_tax: float
    slowdown: float
    efficiency: float
    loss: float

    def law(self) -> tuple[float, float]:
        """Conservation: both losses less their overlap are the loss. Returns both sides."""
        return self.host_tax + self.slowdown - self.host_tax * self.slowdown, self.loss

    def __str__(self) -> str:
        return say(
            "cloud.efficiency", tax=show(self.host_tax, "%"), slowdown=show(self.slowdown, "%"),
            loss=show(self.loss, "%"), sum=show(self.host_tax + self.slowdown, "%"),
        )  # fmt: skip

    __repr__ = __str__


def is_number(value: object) -> bool:
    """Whether ``value`` can be compared with numbers at all (NumPy's can)."""
    return isinstance(value, Real)


def efficiency(host_tax: float, slowdown: float) -> Efficiency:
    """E = (1 - host_tax) (1 - slowdown), both 0 to 1. Golden: 5 % and 5 % lose 9.75 %, not 10 %. Raises ValueError."""
    for name, value, what in (
        ("host_tax", host_tax, "the share of the host's cores that is not sold"),
        ("slowdown", slowdown, "the share of its speed that a guest loses"),
    ):
        if not is_number(value) or not 0 <= value <= 1:
            raise ValueError(f"{name} must be 0 to 1; you gave {value!r}: it is {what} (0.05 is 5 %).")
    left = (1 - host_tax) * (1 - slowdown)
    return Efficiency(host_tax, slowdown, left, 1 - left)
