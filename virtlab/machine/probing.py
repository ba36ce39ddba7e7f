"""One way to every probe of the computer: by its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from virtlab.core.parameter import ParameterError
from virtlab.core.words import say
from virtlab.machine import COUNTED_NAMES, PROBE_NAMES
from virtlab.machine.boots import measure_boots, recorded_boots
from virtlab.machine.calls import measure_calls, recorded_calls
from virtlab.machine.cipher import measure_ciphers, recorded_ciphers
from virtlab.machine.copies import measure_copies
from virtlab.machine.counted import Counted
from virtlab.machine.jitter import measure_jitter, recorded_jitter
from virtlab.machine.measured import Measured, recorded, recorded_copies, recorded_pages, recorded_waiting
from virtlab.machine.pages import measure_pages
from virtlab.machine.probes import measure
from virtlab.machine.qemu.overhead import measure_overhead, recorded_overhead
from virtlab.machine.qemu.surface import measure_surface, recorded_surface
from virtlab.machine.rivals import measure_rivals, recorded_rivals
from virtlab.machine.switches import measure_switches, recorded_switches
from virtlab.machine.waiting import measure_waiting

#: What measures this computer, by name; each takes the seconds that it may use.
PROBES: Mapping[str, Callable[..., Measured]] = dict(
    zip(PROBE_NAMES, (measure, measure_pages, measure_copies, measure_switches, measure_rivals, measure_calls,
                      measure_jitter, measure_ciphers, measure_waiting), strict=True)
)  # fmt: skip
#: The recording of each that comes with the course.
RECORDINGS: Mapping[str, Callable[[], Measured]] = dict(
    zip(PROBE_NAMES, (recorded, recorded_pages, recorded_copies, recorded_switches, recorded_rivals, recorded_calls,
                      recorded_jitter, recorded_ciphers, recorded_waiting), strict=True)
)  # fmt: skip
#: What counts on this computer's own QEMU, and the record of each that comes with the course.
COUNTED: Mapping[str, tuple[Callable[..., Counted], Callable[[], Counted]]] = dict(
    zip(COUNTED_NAMES, ((measure_boots, recorded_boots), (measure_surface, recorded_surface),
                        (measure_overhead, recorded_overhead)), strict=True)
)  # fmt: skip


def probe(name: str, seconds: float | None = None) -> Measured | Counted:
    """Measures this computer by the probe ``name``, in about ``seconds`` (0.05 to 10), or in the probe's own time.

    "boots", "surface" and "overhead" count; ``seconds`` (1 to 600) is then the longest that one case may take.

    Raises ParameterError for an unknown name, and lists the known ones, and for ``seconds`` out of range. Never raises
    for what cannot be measured: it is missing, with the reason.
    """
    known: dict[str, Callable[..., Measured | Counted]] = {**PROBES, **{key: pair[0] for key, pair in COUNTED.items()}}
    if name not in known:
        raise ParameterError(say("probe.unknown", given=repr(name), known=", ".join(known)))
    return known[name]() if seconds is None else known[name](seconds)
