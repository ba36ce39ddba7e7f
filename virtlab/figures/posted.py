"""An interrupt's story as a timing diagram: who acts, where the vCPU is, and the bits that both sides look at."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from matplotlib.artist import Artist
from matplotlib.patches import Patch

from virtlab.core.words import say, words
from virtlab.cpu.interrupt_story import InterruptStory, Scenery, Spent
from virtlab.figures.canvas import CUT, Picture
from virtlab.figures.style import SIZE, box, ghost_style, legend, model_style, place_style, write

STEPS = 14  # the most that a story has, and one more
ROWS, SPANS = 5, 8
_LEFT, _PITCH = 176.0, 60.0
_LANES = {"posts": 96.0, "vcpu": 126.0, "host": 156.0}
_LANE_OF = {"device": "posts", "software": "posts", "vcpu": "vcpu", "host": "host", "scheduler": "host", "kvm": "host"}
_BAND, _BAND_HEIGHT = 184.0, 26.0
_WIDE, _NARROW = 100.0, 40.0  # px: room for a name, and for a short one
_WAVES, _WAVE_PITCH, _SWING = 262.0, 39.0, 22.0
_CHARACTERS = 122


@dataclass(frozen=True)
class PostedResult:
    """A story and how far it has been played: 0 is before the first step, beyond its end is the end."""

    story: InterruptStory
    step: int

    @property
    def position(self) -> int:
        return min(self.step, len(self.story.moments))

    @property
    def moment(self) -> Scenery | None:
        """What has just happened."""
        return self.story.moments[self.position - 1] if self.position else None

    @property
    def why(self) -> str:
        """What it is good for."""
        return str(words("posted_lab.why")[self.moment.key]) if self.moment else ""


class PostedPicture(Picture[PostedResult]):
    """Above: who acts, and where the vCPU is. Middle: the bits as waveforms. Below: this step, what and why."""

    size_px = (1040, 664)

    def build(self) -> Sequence[Artist]:
        look = self.look
        axes = self._axes = self.whole_axes()
        text = partial(write, axes, look)
        quiet = partial(text, size=SIZE["note"], color=look.faint)
        text(20, 28, words("posted_lab.title"), SIZE["title"])
        for lane, y in _LANES.items():
            text(_LEFT - 14, y, words(f"posted_lab.lane.{lane}"), SIZE["note"], ha="right")
            axes.plot([_LEFT, _LEFT + _PITCH * STEPS], [y, y], color=look.grid, linewidth=1)
        text(_LEFT - 14, _BAND + _BAND_HEIGHT / 2, words("posted_lab.vcpu"), SIZE["note"], ha="right")
        axes.plot([20, 1020], [504, 504], color=look.grid, linewidth=1.2)
        patches = [Patch(**place_style(look, place)) for place in ("guest", "kvm")]
        patches += [Patch(facecolor=look.paper, edgecolor=look.faint)]
        names = [words(f"posted_lab.place.{place}") for place in ("guest", "host")]
        off = f"{words('posted_lab.place.preempted')} / {words('posted_lab.place.blocked')}"
        legend(axes, look, patches, [*names, off], loc="upper right", bbox_to_anchor=(0.99, 0.99), ncols=3)

        self._numbers = [quiet(_LEFT + _PITCH * (n + 0.5), 68, "", ha="center") for n in range(STEPS)]
        self._dots = [axes.plot([], [], linestyle="", marker="o", color=look.ink, markersize=size, markerfacecolor=fill)
                      [0] for size, fill in ((7, look.paper), (7, look.ink), (13, look.ink))]  # fmt: skip
        self._spans = [self._empty_span() for _ in range(SPANS)]
        self._span_names = [text(0, _BAND + _BAND_HEIGHT + 12, "", SIZE["note"], ha="center") for _ in range(SPANS)]
        self._wave_names = [text(_LEFT - 14, 0, "", SIZE["tick"], ha="right") for _ in range(ROWS)]
        self._values = [text(26, 0, "", SIZE["tick"], weight="bold") for _ in range(ROWS)]
        self._future = [axes.plot([], [], **ghost_style(look, linewidth=1.4))[0] for _ in range(ROWS)]
        self._waves = [axes.plot([], [], **model_style(look))[0] for _ in range(ROWS)]
        self._cursor = axes.plot([], [], color=look.faint, linewidth=1.2)[0]
        self._note = quiet(20, 454, "")
        self._spent = text(20, 482, "", SIZE["tick"])
        self._kept = quiet(20, 524, "")
        self._head = quiet(20, 550, "", size=SIZE["label"])
        self._did = text(20, 578, "", SIZE["label"], weight="bold")
        self._why = [text(20, 605 + 22 * n, "", SIZE["tick"]) for n in range(2)]
        self._lost = text(20, 650, "", SIZE["tick"], weight="bold")
        return [*self._numbers, *self._spans, *self._span_names, self._cursor, *self._dots, *self._wave_names,
                *self._values, *self._future, *self._waves, self._note, self._spent, self._kept, self._head, self._did,
                *self._why, self._lost]  # fmt: skip

    def _empty_span(self) -> Any:
        span = box(self._axes, _LEFT, _BAND, 0, _BAND_HEIGHT, **place_style(self.look, "guest"))
        span.set_gid(CUT)
        return span

    def show(self, result: PostedResult, kept: PostedResult | None = None, prediction: Any = None) -> None:
        moments, at = result.story.moments, result.position
        for n, number in enumerate(self._numbers):
            number.set_text(str(n + 1) if n < len(moments) else "")
        place = [(_LEFT + _PITCH * (n + 0.5), _LANES[_LANE_OF[m.who]]) for n, m in enumerate(moments)]
        for dots, some in zip(self._dots, (place[at:], place[: max(at - 1, 0)], place[max(at - 1, 0) : at]),
                              strict=True):  # fmt: skip
            dots.set_data([x for x, _ in some], [y for _, y in some])
        self._cursor.set_visible(at > 0)
        x = _LEFT + _PITCH * (at - 0.5)
        self._cursor.set_data([x, x], [76, _WAVES + _WAVE_PITCH * (len(moments[0].bits) - 1) + 10])
        self._show_band([m.place for m in moments])
        self._show_waves(result)
        self._show_words(result, kept)

    def _show_band(self, places: list[str]) -> None:
        """Where the vCPU is, at first in the guest, and then after each step: one box for each stay."""
        ends = [*(_LEFT + _PITCH * (n + 0.5) for n in range(len(places))), _LEFT + _PITCH * len(places)]
        after = zip(["guest", *places], ends, strict=True)
        stays = [(place, max(end for _, end in same)) for place, same in itertools.groupby(after, lambda at: at[0])]
        begin = _LEFT
        for n, (span, name) in enumerate(zip(self._spans, self._span_names, strict=True)):
            span.set_visible(n < len(stays))
            name.set_text("")
            if n >= len(stays):
                continue
            place, end = stays[n]
            if place in ("guest", "host"):
                style = place_style(self.look, "guest" if place == "guest" else "kvm")
            else:
                style = {"facecolor": self.look.paper, "edgecolor": self.look.faint, "hatch": None}
            span.set(x=begin, width=end - begin, **style)
            short = "_short" if end - begin < _WIDE else ""
            name.set_text(words(f"posted_lab.place{short}.{place}") if end - begin > _NARROW else "")
            name.set_x((begin + end) / 2)
            begin = end

    def _show_waves(self, result: PostedResult) -> None:
        moments, at = result.story.moments, result.position
        names = list(moments[0].bits)
        for n in range(ROWS):
            used, base = n < len(names), _WAVES + _WAVE_PITCH * n
            self._wave_names[n].set_text(names[n] if used else "")
            self._wave_names[n].set_y(base - _SWING / 2)
            self._values[n].set_text("")
            for line in (self._waves[n], self._future[n]):
                line.set_visible(used)
            if not used:
                continue
            levels = [0, *(m.bits[names[n]] for m in moments)]
            value = levels[at]
            shown = words("posted_lab.nv")["wake" if value else "notify"] if names[n] == "NV" else str(value)
            self._values[n].set_text(shown)
            self._values[n].set_y(base - _SWING / 2)
            for line, first, last in ((self._waves[n], 0, at), (self._future[n], at, len(moments))):
                xs, ys = [], []
                for k in range(first, last + 1):
                    # A step changes the level in the middle of its column.
                    begin = _LEFT + _PITCH * (k - 0.5) if k > first or k else _LEFT
                    end = _LEFT + _PITCH * (k + 0.5) if k < last else begin + (_PITCH / 2 if k == len(moments) else 0)
                    xs += [begin, end]
                    ys += [base - _SWING * levels[k]] * 2
                line.set_data(xs, ys)

    def _show_words(self, result: PostedResult, kept: PostedResult | None) -> None:
        story, moment, of = result.story, result.moment, len(result.story.moments)
        self._note.set_text(words(f"posted_lab.note.{'posted' if story.posted else 'emulated'}"))
        spent = moment.spent if moment else Spent()
        self._spent.set_text(say("posted_lab.so_far", posts=story.posts, **spent._asdict()))
        if kept is None:
            self._kept.set_text("")
        else:
            self._kept.set_text(say(
                "posted_lab.kept", how=words("parameter.interrupts.choices")[kept.story.interrupts],
                scene=words("parameter.interrupt_scene.choices")[kept.story.scene], **kept.story.spent._asdict(),
            ))  # fmt: skip
        who = words("interrupt_story.who")[moment.who] if moment else ""
        self._head.set_text(say(f"posted_lab.head{'_who' if moment else ''}", n=result.position, of=of, who=who))
        self._did.set_text(moment.what if moment else words("posted_lab.how_to"))
        lines = textwrap.wrap(result.why if moment else str(words("posted_lab.how_to_why")), _CHARACTERS)
        for text, line in zip(self._why, (*lines, "", ""), strict=False):
            text.set_text(line)
        ended = result.position == of and story.left
        self._lost.set_text(say("posted_lab.lost", left=story.left) if ended else "")
