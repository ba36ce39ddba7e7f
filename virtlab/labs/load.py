"""The load lab: one path under random arrivals, with queues, batches, interrupts and a neighbour."""

from __future__ import annotations

from typing import Literal

import numpy as np

from virtlab.core.jit import have_numba
from virtlab.core.parameter import Parameters, parameter, same
from virtlab.core.units import number, show
from virtlab.core.words import say, words
from virtlab.evidence import FACTS
from virtlab.figures.load import EDGES_NS, LoadPicture, LoadResult
from virtlab.labs.base import Lab
from virtlab.labs.journey import PathId
from virtlab.labs.ladder import INTERRUPTS, Interrupts
from virtlab.paths import LADDER, CpuBill, Load, Path, PathOptions, Simulation

PACKETS = 60_000  # of one move of a slider: the slowest thousandth of them is 60


class LoadSetting(Parameters):
    """A path, a packet rate, and who else is on the machine."""

    path: PathId = parameter(FACTS["lab.path"], default="vhost-net")
    rate_packets_per_s: float = same(Load, "rate_packets_per_s", ge=1_000, le=20e6)
    batch: int = parameter(FACTS["virtio.batch.none"], ge=1, le=64, log=True)
    neighbour_share: float = same(Load, "neighbour_share", step=0.05)
    direction: Literal["tx", "rx"] = parameter(FACTS["lab.load_direction"], default="rx")
    frame_bytes: int = same(PathOptions, "frame_bytes")
    interrupts: Interrupts = parameter(FACTS["lab.interrupts"], default="apicv")
    interrupt_delay_ns: float = same(Load, "interrupt_delay_ns")
    service_cv: float = same(Load, "service_cv", step=0.1)

    def options(self) -> PathOptions:
        """The options of the path under this setting."""
        return PathOptions(direction=self.direction, frame_bytes=self.frame_bytes, kick_batch=self.batch,
                           interrupt_batch=self.batch, **INTERRUPTS[self.interrupts])  # fmt: skip

    def load(self) -> Load:
        """What arrives under this setting."""
        return Load(rate_packets_per_s=self.rate_packets_per_s, neighbour_share=self.neighbour_share,
                    interrupt_delay_ns=self.interrupt_delay_ns, service_cv=self.service_cv)  # fmt: skip


def _bill(path: Path, options: PathOptions, run: Simulation) -> tuple[float, float, int]:
    """CPU time per packet in ns for host and guest, and polling cores, at the batches that the load itself made.

    A busy back end need not be woken and a busy guest need not be interrupted: both share more packets than they must.
    """

    def bill(events_per_packet: float) -> CpuBill:
        batch = min(64, max(1, round(1 / events_per_packet))) if events_per_packet else 64
        kick, interrupt = max(batch, options.kick_batch), max(batch, options.interrupt_batch)
        return path.cpu(options, kick_batch=kick, interrupt_batch=interrupt)

    back_end, rest = bill(run.wakeups_per_packet), bill(run.interrupts_per_packet)
    host = back_end.backend_ns_per_packet + rest.host_ns_per_packet - rest.backend_ns_per_packet
    return host, rest.guest_ns_per_packet, rest.dedicated_cores


class LoadLab(Lab):
    """Latency under load: the tail, and what it costs."""

    Setting = LoadSetting
    Picture = LoadPicture
    visible = ("path", "rate_packets_per_s", "batch", "neighbour_share")

    def solve(self, setting: LoadSetting) -> LoadResult:
        path, options = LADDER[setting.path], setting.options()
        run = path.simulate(options, load=setting.load(), packets=PACKETS if have_numba() else None)
        host_ns, guest_ns, poll = _bill(path, options, run)
        # Counting into bins of the logarithm is several times as fast as sorting.
        first, second = np.log10(EDGES_NS[:2])
        bins = np.ceil((np.log10(run.latency_ns) - first) / (second - first)).clip(0, len(EDGES_NS)).astype(np.intp)
        above = 1 - np.cumsum(np.bincount(bins, minlength=len(EDGES_NS) + 1))[: len(EDGES_NS)] / len(run.latency_ns)
        busy = {
            **run.utilisation,
            "host_cores": max(poll, run.throughput_packets_per_s * host_ns / 1e9),
            "guest_cores": run.throughput_packets_per_s * guest_ns / 1e9,
        }
        return LoadResult(
            path=path.id,
            direction=setting.direction,
            slower=above,
            quantiles_ns={"p50": run.p50_ns, "p99": run.p99_ns, "p999": run.p999_ns},
            busy=busy,
            delivered_packets_per_s=run.throughput_packets_per_s,
            dropped_share=run.drop_share,
            capacity_packets_per_s=path.capacity(options).packets_per_s,
        )

    def sentence(self, setting: LoadSetting, result: LoadResult) -> str:
        return say(
            "load.sentence",
            path=words(f"path.{result.path}.title"),
            direction=words(f"path.{result.direction}"),
            offered=show(setting.rate_packets_per_s, "packets/s"),
            delivered=show(result.delivered_packets_per_s, "packets/s", 2),
            dropped=show(result.dropped_share, "%", 2),
            host=number(result.busy["host_cores"], 2),
            guest=number(result.busy["guest_cores"], 2),
            batch=say("ladder.batch_one" if setting.batch == 1 else "ladder.batch_many", n=setting.batch),
            capacity=show(result.capacity_packets_per_s, "packets/s", 2),
            **{k: show(v, "ns", 2) for k, v in result.quantiles_ns.items()},
        )
