"""The ring lab: two batches through a virtqueue, every access shown in the ring's own memory."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from virtlab.core.parameter import Parameters, parameter
from virtlab.core.units import number
from virtlab.core.words import say, words
from virtlab.evidence import FACTS
from virtlab.figures.ring import RingPicture, RingResult, flag_letters, shown_value
from virtlab.labs.playing import PlayedLab
from virtlab.virtio.layout import Feature
from virtlab.virtio.story import Moment, Story, tell

MOST_STEPS = 280


class RingSetting(Parameters):
    """The ring, what goes through it, and how far that is played."""

    ring: Literal["split", "packed"] = parameter(FACTS["vring.ring"], default="split")
    event_idx: bool = parameter(FACTS["vring.event_idx"], default=True)
    buffers: int = parameter(FACTS["vring.story.buffers"], ge=1, le=8)
    step: int = parameter(FACTS["vring.story.step"], ge=0, le=MOST_STEPS)
    queue_size: Literal[2, 4, 8, 16, 64, 256, 1024] = parameter(FACTS["vring.ring"], default=8)
    start_index: int = parameter(FACTS["vring.start"], ge=0, le=65_535)
    in_order: bool = parameter(FACTS["vring.in_order"], default=False)
    indirect: bool = parameter(FACTS["vring.indirect"], default=False)
    device_sleeps: bool = parameter(FACTS["vring.story.sleeps"], default=True)

    def story(self) -> Story:
        """What happens in this ring."""
        features = Feature(self.event_idx * Feature.EVENT_IDX | self.in_order * Feature.IN_ORDER
                           | self.indirect * Feature.INDIRECT_DESC)  # fmt: skip
        return tell(self.ring == "packed", self.queue_size, features, self.buffers, self.start_index,
                    self.device_sleeps)  # fmt: skip


def _what(story: Story, moment: Moment) -> str:
    """What is touched, in one word: a part of a key of the words."""
    fields = story.touched(moment)
    if moment.kind not in ("load", "store"):
        return ""
    if not fields:
        return "table"
    first = fields[0]
    if first.part == "desc":
        names = {f.name for f in fields}
        return "flags" if names == {"flags"} else "used" if "addr" not in names else "desc"
    if first.part == "used" and first.name in ("id", "len"):
        return "entry"
    return first.name if first.name != "flags" else "event"


def did(story: Story, moment: Moment) -> str:
    """What this moment does, with its numbers."""
    if moment.kind in ("load", "store"):
        fields = story.touched(moment)
        values, at = [], moment.address
        for f in fields:
            raw = int.from_bytes(moment.data[f.address - at :][: f.size], "little")
            values.append(f"{f.name} {shown_value(f, raw)}")
        if fields:
            first = fields[0]
            place = "" if first.index is None else f"[{first.index}]"
            name = f"desc{place}" if first.part == "desc" else f"{first.part}.{first.name}{place}"
            name += ".flags" if len(fields) == 1 and first.part == "desc" else ""
            name = f"used.ring{place}" if first.part == "used" and first.name in ("id", "len") else name
        else:
            name = str(words("ring.table"))
            addr, size, flags = (int.from_bytes(moment.data[a:b], "little") for a, b in ((0, 8), (8, 12), (12, 14)))
            values = [f"addr {addr:#x}", f"len {size}", f"flags {flag_letters(flags)}"]
        if len(values) == 1:
            return say(f"ring.did.{moment.kind}", name=name, values=values[0].partition(" ")[2])
        return say(f"ring.did.{moment.kind}", name=name, values=", ".join(values))
    key = f"{moment.kind}_{moment.side}" if moment.kind in ("notify", "wake", "sleep") else moment.kind
    return say(f"ring.did.{key}", where=moment.where)


def why(story: Story, n: int) -> str:
    """What moment ``n`` (from 1 on) is good for."""
    moment, kind = story.moments[n - 1], "packed" if story.packed else "split"
    what = _what(story, moment)
    if story.packed and moment.verb == "publish" and moment.kind == "store" and what == "flags":
        # A whole batch hangs on the flags of its first descriptor, which are stored last.
        what = "first_flags" if story.moments[n].kind == "mb" else "flags"
    if moment.side == "device" and moment.kind == "notify":
        what = "first" if moment.calls == 1 else "later"
    parts = (moment.side, moment.verb, moment.kind, what)
    return str(words(f"ring.why.{kind}").get("_".join(part for part in parts if part), ""))


class RingLab(PlayedLab):
    """Two batches of buffers through a ring and back, access by access."""

    Setting = RingSetting
    Picture = RingPicture
    most_steps = MOST_STEPS
    visible = ("ring", "event_idx", "buffers", "step")

    def solve(self, setting: RingSetting) -> RingResult:
        story = setting.story()
        result = RingResult(story, setting.step, setting.buffers)
        moment = result.moment
        if moment is None:
            key = "ring.begin" if story.moments else "ring.too_small"
            return replace(result, did=str(words(key)), why=str(words("ring.how_to_play")))
        return replace(result, did=did(story, moment), why=why(story, result.position))

    def sentence(self, setting: RingSetting, result: RingResult) -> str:
        story = result.story
        last = story.moments[-1] if story.moments else None
        ring = say(f"ring.ring.{setting.ring}", size=setting.queue_size,
                   bytes=number(story.layout.total_bytes(setting.queue_size), 6))  # fmt: skip
        cut = say("ring.cut", asked=setting.buffers) if setting.buffers > story.buffers else ""
        return say("ring.sentence", ring=ring, buffers=story.buffers, cut=cut, n=len(story.moments),
                   kicks=last.kicks if last else 0, calls=last.calls if last else 0, step=result.position,
                   side=words(f"ring.who.{result.moment.side}") if result.moment else "",
                   did=result.did, why=result.why).rstrip()  # fmt: skip

    def length(self) -> int:
        return len(self.result.story.moments)
