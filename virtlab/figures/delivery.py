"""How late interrupts come, as a distribution with its three steps, and what the host does for each, as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from virtlab.core.units import show
from virtlab.core.words import say, words
from virtlab.cpu.interrupts import Interrupts, VcpuState
from virtlab.figures.canvas import Picture
from virtlab.figures.style import SIZE, dress, ghost_style, legend, model_style

#: What an interrupt may find; being in the host is left out: it is counted as running.
FINDS: tuple[VcpuState, ...] = ("guest", "blocked", "preempted")
#: Points of the curve in ns, besides its jumps: from 10 ns to 10 s.
GRID_NS: NDArray[np.float64] = np.logspace(1, 10, 121)
_QUANTILES = ((0.5, "p50"), (0.99, "p99"))
_COLUMNS = {"exits": 0.715, "irqs": 0.795, "ipis": 0.87, "wakeups": 0.96}
_ROWS = {"guest": 0.70, "blocked": 0.59, "preempted": 0.48}
_SECOND = 0.36
_ROOM = 0.06  # of the height: for the name of a part of the curve


@dataclass(frozen=True)
class DeliveryResult:
    """The model, its curve, and events a second by kind; ``exit_share`` of the vCPU's time goes into exits."""

    model: Interrupts
    at_ns: NDArray[np.float64]
    within: NDArray[np.float64]
    rate_per_s: float
    a_second: Mapping[str, float]
    exit_share: float
    ignored: bool

    def latency(self, state: VcpuState) -> str:
        """Latency in one state: a time, or from where to where."""
        cost = self.model.by_state[state]
        low, high = show(cost.low_ns, "ns"), show(cost.high_ns, "ns")
        return low if cost.low_ns == cost.high_ns else say("cpu_interrupts.span", low=low, high=high)


class DeliveryPicture(Picture[DeliveryResult]):
    """Left: the share of interrupts that have come within a time. Right: events for one interrupt, by what it finds."""

    size_px = (1040, 580)

    def build(self) -> Sequence[Artist]:
        look = self.look
        axes = self.figure.add_axes((0.095, 0.2, 0.415, 0.68))
        dress(axes, look, title=words("delivery.title"), x=words("delivery.x"), y=words("delivery.y"), grid="both")
        axes.set(xscale="log", xlim=(10, 1e10), ylim=(0, 1.04))
        axes.set_xticks([10, 100, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10],
                        ["10 ns", "100", "1 µs", "10", "100", "1 ms", "10", "100", "1 s", "10"])  # fmt: skip
        axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "25 %", "50 %", "75 %", "100 %"])
        axes.minorticks_off()
        axes.tick_params(axis="x", pad=8)
        handles = [Line2D([], [], **model_style(look)), Line2D([], [], **ghost_style(look))]
        legend(axes, look, handles, [words("lab.model"), words("lab.kept")], loc="upper right",
               bbox_to_anchor=(1.02, -0.15), ncols=2)  # fmt: skip
        self._limits = axes.get_xlim()

        note: dict[str, Any] = {"fontsize": SIZE["note"], "va": "center"}
        cell: dict[str, Any] = {"fontsize": SIZE["tick"], "va": "center", "color": look.ink}
        self.figure.text(0.54, 0.895, words("delivery.table"), fontsize=SIZE["title"], color=look.ink, va="center")
        self.figure.text(0.54, 0.80, words("delivery.finding"), color=look.faint, **note)
        for key, x in _COLUMNS.items():
            self.figure.text(x, 0.80, words("delivery.column")[key], color=look.faint, ha="center", **note)
        for state, y in _ROWS.items():
            self.figure.text(0.54, y, words("delivery.finds")[state], **cell)
        self.figure.text(0.54, _SECOND, words("delivery.a_second"), **cell)
        for y in (0.755, 0.42):
            self.figure.add_artist(Line2D([0.54, 0.995], [y, y], color=look.grid, linewidth=1.2))

        self._kept = axes.plot([], [], **ghost_style(look))[0]
        self._curve = axes.plot([], [], **model_style(look))[0]
        self._marks = axes.plot([], [], "o", linestyle="", color=look.ink, markersize=8)[0]
        self._notes = [axes.text(1, share, "", color=look.ink, fontsize=SIZE["note"]) for share, _ in _QUANTILES]
        # Left of the curve: which of the states a part of it is.
        self._parts = {state: axes.text(12, 0, "", color=look.faint, va="center", fontsize=SIZE["note"])
                       for state in FINDS}  # fmt: skip
        self._cells = {(row, key): self.figure.text(x, y, "", ha="center", **cell)
                       for row, y in (*_ROWS.items(), ("second", _SECOND)) for key, x in _COLUMNS.items()}  # fmt: skip
        self._under = {state: self.figure.text(0.54, y - 0.037, "", color=look.faint, **note)
                       for state, y in _ROWS.items()}  # fmt: skip
        self._rate = self.figure.text(0.54, _SECOND - 0.037, "", color=look.faint, **note)
        self._lines = [self.figure.text(0.54, 0.255 - 0.042 * n, "", color=look.ink, **note) for n in range(4)]
        self._before = self.figure.text(0.54, 0.06, "", color=look.faint, **note)
        return [self._kept, self._curve, self._marks, *self._notes, *self._parts.values(), *self._cells.values(),
                *self._under.values(), self._rate, *self._lines, self._before]  # fmt: skip

    def show(self, result: DeliveryResult, kept: DeliveryResult | None = None, prediction: Any = None) -> None:
        for line, shown in ((self._curve, result), (self._kept, kept)):
            line.set_visible(shown is not None)
            if shown is not None:
                line.set_data(shown.at_ns, shown.within)
        low, high = self._limits
        places = [min(max(result.model.quantile_ns(share), low), high) for share, _ in _QUANTILES]
        self._marks.set_data(places, [share for share, _ in _QUANTILES])
        for text, ns, (share, name) in zip(self._notes, places, _QUANTILES, strict=True):
            text.set(x=ns * 1.5, y=share - 0.02, ha="left", va="top")  # right of the curve nothing is drawn
            text.set_text(f"{name} {show(result.model.quantile_ns(share), 'ns')}")
        begin = 0.0
        for state in sorted(FINDS, key=lambda s: result.model.by_state[s].mean_ns):
            part = result.model.options.share(state)
            self._parts[state].set_text(words("delivery.finds")[state] if part > _ROOM else "")
            self._parts[state].set_y(begin + part / 2)
            begin += part
        for state in FINDS:
            cost = result.model.by_state[state]
            counts = {"exits": cost.vcpu_exits, "irqs": cost.host_irqs, "wakeups": cost.wakeups,
                      "ipis": cost.kick_ipis + cost.notification_ipis}  # fmt: skip
            for key, n in counts.items():
                self._cells[state, key].set_text(str(n))
            found = show(result.model.options.share(state), "%")
            self._under[state].set_text(say("delivery.under", share=found, latency=result.latency(state)))
        second = result.a_second
        for key, name in (("exits", "exits"), ("irqs", "host_irqs"), ("ipis", "ipis"), ("wakeups", "wakeups")):
            self._cells["second", key].set_text(show(second[name], "1/s"))
        self._rate.set_text(say("delivery.at_rate", rate=show(result.rate_per_s, "1/s")))
        sender, hardware = second["sender_exits"], result.model.by_state["guest"].hardware_notifications
        lines = [
            say("delivery.tax", tax=show(result.exit_share, "%")),
            words("delivery.too_much") if result.exit_share > 1 else "",
            say("delivery.sender", n=show(sender, "1/s")) if sender else "",
            words("delivery.ignored") if result.ignored else words("delivery.hardware") if hardware else "",
        ]
        for text, line in zip(self._lines, (*filter(None, lines), "", "", ""), strict=False):
            text.set_text(line)
        self._before.set_text("" if kept is None else say(
            "delivery.before", exits=show(kept.a_second["exits"], "1/s"), irqs=show(kept.a_second["host_irqs"], "1/s"),
            p99=show(kept.model.quantile_ns(0.99), "ns")))  # fmt: skip
