"""The timeline lab: where one read spends its time inside QEMU, as QEMU's own trace events tell it."""

from __future__ import annotations

from typing import ClassVar, Literal

from virtlab.core.parameter import Parameters, parameter
from virtlab.core.units import number, show
from virtlab.core.words import say, words
from virtlab.evidence import FACTS
from virtlab.figures.timeline import MOST_ROWS, Row, TimelinePicture, TimelineResult
from virtlab.labs.measuring import MeasuringLab
from virtlab.machine.qemu.recorded import Ring, TracedReads, recorded_timeline, trace_reads
from virtlab.machine.qemu.trace import STAGES, Timeline
from virtlab.machine.sampling import check_seconds

_REQUESTS_PER_SECOND = 100  # of both rings together, each traced twice and timed once more


class TimelineSetting(Parameters):
    """What of the recording or measurement is drawn. It does not change by that."""

    view: Literal["stages", "one"] = parameter(FACTS["device.view"], default="stages")
    ring: Ring = parameter(FACTS["device.ring"], default="split")


def stage_rows(seen: Timeline) -> tuple[Row, ...]:
    """The steps between the stages that this QEMU marks; the driver's kick before them, and the interrupt after."""
    order = [stage for stage, _ in STAGES if stage in seen.us]
    if len(order) < 2:
        return ()
    first, last = seen.us[order[0]], seen.us[order[-1]]
    rows = [Row(words(f"timeline.stage.{order[0]}"), words(f"timeline.step.{order[0]}"), "guest", first, first)]
    for of, to in zip(order, order[1:], strict=False):
        title = say("timeline.stage.step", of=words(f"timeline.stage.{of}"), to=words(f"timeline.stage.{to}"))
        # The file is read after the submission; where a version marks only one end of that, it is in the step beside.
        place = "host" if of == "submit" or to == "complete" else "qemu"
        rows.append(Row(title, words(f"timeline.step.{to}"), place, seen.us[of], seen.us[to]))
    return (*rows, Row(words(f"timeline.stage.{order[-1]}"), words("timeline.raised"), "guest", last, last))


def event_rows(seen: Timeline) -> tuple[Row, ...]:
    """Every event of one request, each with the time until the next one and the place where that passes."""
    rows, place = [], "qemu"
    ends = [event.us for event in seen.one[1:]] + [seen.one[-1].us] if seen.one else []
    for event, end in zip(seen.one, ends, strict=True):
        place = _place_after(event.name, event.values, place)
        rows.append(Row(event.name, "", place, event.us, max(end, event.us)))
    return tuple(rows)


def _place_after(event: str, values: str, before: str) -> str:
    """Where the time passes after an event: in QEMU's main thread, but for two kinds of waiting."""
    if event in dict(STAGES)["submit"]:
        return "host"  # an I/O thread has the request, until an event says that it is back
    if event == "virtio_mmio_setting_irq" and values.endswith("1") or event == "virtio_mmio_read":
        return "guest"  # the driver is about to touch the next register
    return "qemu"


class TimelineLab(MeasuringLab):
    """QEMU's trace of a read. It opens with a recorded one; ``measure()`` traces this computer's own QEMU."""

    Setting = TimelineSetting
    Picture = TimelinePicture
    visible = ("view", "ring")

    button_help: ClassVar[str] = "timeline.button_help"
    details_title: ClassVar[str] = "timeline.details"
    seconds: ClassVar[float] = 1.0

    def record(self) -> TracedReads:
        return recorded_timeline()

    def ask(self, seconds: float) -> TracedReads:
        check_seconds(seconds)
        return trace_reads(round(_REQUESTS_PER_SECOND * seconds))

    def details(self) -> str:
        return f"{self._measured.events(self.setting.ring)._repr_html_()}{self._measured._repr_html_()}"

    def solve(self, setting: TimelineSetting) -> TimelineResult:
        measured: TracedReads = self._measured
        seen = measured.timelines[setting.ring]
        rows = stage_rows(seen) if setting.view == "stages" else event_rows(seen)
        left_out = say("timeline.more", n=len(rows) - MOST_ROWS) if len(rows) > MOST_ROWS else ""
        label = say("timeline.label", label=measured.witness.label().rstrip("."),
                    what=say(f"timeline.{setting.view}", n=seen.requests))  # fmt: skip
        first, second = words("timeline.note")
        notes = (first, second.format(**self._tracing(setting)))
        return TimelineResult(rows[:MOST_ROWS], left_out, label, measured.witness.origin == "now", notes)

    def sentence(self, setting: TimelineSetting, result: TimelineResult) -> str:
        tracing = say("timeline.tracing", **self._tracing(setting))
        if not result.rows:
            return say("timeline.nothing", label=result.label, tracing=tracing)
        steps = [say("timeline.said", title=row.title, time=show(row.us, "us")) for row in result.rows if row.us]
        longest, whole = result.rows[result.longest], result.end_us
        driver_us = sum(row.us for row in result.rows if row.place == "guest")
        return say(
            f"timeline.sentence_{setting.view}", label=result.label, ring=setting.ring, whole=show(whole, "us"),
            n=len(self._measured.timelines[setting.ring].one), steps=", ".join(steps), longest=longest.title,
            place=words(f"place.{longest.place}"), part=show(longest.us, "us"), driver=show(driver_us, "us"),
            share=show(longest.us / whole if whole else 0.0, "share", 2), tracing=tracing,
        )  # fmt: skip

    def _tracing(self, setting: TimelineSetting) -> dict[str, str]:
        """What tracing costs, in texts."""
        measured, ring = self._measured, setting.ring
        return {"plain": show(measured.plain_ns[ring], "ns"), "traced": show(measured.traced_ns[ring], "ns"),
                "ratio": number(measured.slowdown(ring))}  # fmt: skip
