"""Linux's dynamic interrupt moderation (net_dim): five profiles, and the rules by which it goes from one to another.

After each 64 interrupts it compares bytes, packets and interrupts a millisecond with those of the measurement before,
in this order, and takes only more than 10 whole per cent for a difference. While things get better it goes on in its
direction (right: longer waits); else it turns. It parks on top when one step back has made nothing better, at either
end, or when it is tired; parked on top it looks again only when the traffic changes.
Source: lib/dim/net_dim.c and lib/dim/dim.c. As in virtio-net it starts at the first profile.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from virtlab.core.jit import jit
from virtlab.evidence import FACTS

Ints = NDArray[np.int64]
Tune = Literal["parked on top", "parked tired", "going right", "going left"]
TUNES: tuple[Tune, ...] = get_args(Tune)
ON_TOP, TIRED_OUT, RIGHT, LEFT = range(4)
#: Places of the state: how it tunes, the profile, steps to the right and left, tiredness, and the measurement before.
TUNE, PROFILE, STEPS_RIGHT, STEPS_LEFT, TIRED, BYTES, PACKETS, INTERRUPTS = range(8)
FIELDS = 8
EVENTS = int(FACTS["dim.events"].value)
DIM_WAITS_US = tuple(int(FACTS[f"dim.profile.{n}"].value) for n in range(5))
PROFILE_PACKETS = int(FACTS["dim.packets"].value)
MOST_TIRED = int(FACTS["dim.tired"].value)
_LAST = len(DIM_WAITS_US) - 1


class DimSample(NamedTuple):
    """One measurement, each per ms and rounded up, as the kernel has them."""

    bytes_per_ms: int
    packets_per_ms: int
    interrupts_per_ms: int

    @classmethod
    def of(cls, packets: int, frame_bytes: int, time_us: int) -> DimSample:
        """The measurement of ``packets`` packets during 64 interrupts that took ``time_us``."""
        counts = packets * frame_bytes, packets, EVENTS
        return cls(*(-(-1000 * n // time_us) for n in counts))


def _example() -> tuple[Any, ...]:
    return np.zeros(FIELDS, np.int64), 1, 1, 1


@jit(_example)
def compare(d: Ints, byte_rate: int, packet_rate: int, interrupt_rate: int) -> int:
    """1 better, 0 the same, -1 worse than the measurement in ``d``: more bytes, more packets, fewer interrupts."""
    for before, now, sign in ((d[BYTES], byte_rate, 1), (d[PACKETS], packet_rate, 1),
                              (d[INTERRUPTS], interrupt_rate, -1)):  # fmt: skip
        if before == 0:
            return 1 if sign == 1 and now > 0 else 0
        if 100 * abs(now - before) // before > 10:
            return sign if now > before else -sign
    return 0


@jit(_example)
def decide(d: Ints, byte_rate: int, packet_rate: int, interrupt_rate: int) -> bool:
    """One decision: changes the state ``d`` int64[8] in place, and says whether it has another profile now."""
    tune, profile = d[TUNE], d[PROFILE]
    step = False
    if tune == ON_TOP or tune == TIRED_OUT:
        if tune == TIRED_OUT:
            d[TIRED] -= 1
            leave = d[TIRED] == 0
        else:
            leave = compare(d, byte_rate, packet_rate, interrupt_rate) != 0
        if leave:
            d[TUNE] = LEFT if profile > 0 else RIGHT
            step = True
    else:
        if compare(d, byte_rate, packet_rate, interrupt_rate) != 1:
            if tune == RIGHT:
                d[TUNE], d[STEPS_LEFT] = LEFT, 0
            else:
                d[TUNE], d[STEPS_RIGHT] = RIGHT, 0
        back, ahead = (d[STEPS_RIGHT], d[STEPS_LEFT]) if d[TUNE] == RIGHT else (d[STEPS_LEFT], d[STEPS_RIGHT])
        if ahead > 1 and back == 1:
            d[STEPS_RIGHT] = d[STEPS_LEFT] = d[TIRED] = 0
            d[TUNE] = ON_TOP
        else:
            step = True
    if step:
        parked = tune == ON_TOP or tune == TIRED_OUT
        edge = d[PROFILE] == (_LAST if d[TUNE] == RIGHT else 0)
        if d[TIRED] == MOST_TIRED:
            if not parked:  # on leaving a park the kernel does not look at what the step returned
                d[STEPS_RIGHT] = d[STEPS_LEFT] = 0
                d[TUNE] = TIRED_OUT
        elif edge:
            if not parked:
                d[STEPS_RIGHT] = d[STEPS_LEFT] = d[TIRED] = 0
                d[TUNE] = ON_TOP
        else:
            if d[TUNE] == RIGHT:
                d[PROFILE] += 1
                d[STEPS_RIGHT] += 1
            else:
                d[PROFILE] -= 1
                d[STEPS_LEFT] += 1
            d[TIRED] += 1
    if tune != ON_TOP or d[TUNE] != ON_TOP:
        d[BYTES], d[PACKETS], d[INTERRUPTS] = byte_rate, packet_rate, interrupt_rate
    return bool(d[PROFILE] != profile)


class Dim:
    """The same rules, one measurement at a time, for a look at what it does."""

    def __init__(self) -> None:
        self._state: Ints = np.zeros(FIELDS, np.int64)

    @property
    def profile(self) -> int:
        return int(self._state[PROFILE])

    @property
    def wait_us(self) -> int:
        """The longest wait of the present profile."""
        return DIM_WAITS_US[self.profile]

    @property
    def tune(self) -> Tune:
        return TUNES[int(self._state[TUNE])]

    def take(self, sample: DimSample) -> bool:
        """One measurement; returns whether it led to another profile."""
        return bool(decide(self._state, *sample))
