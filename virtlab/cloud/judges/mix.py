"""The judges of what a mix and a fleet lose: S1, S2, S7."""

from __future__ import annotations

import functools
from typing import Any

from virtlab.cloud.efficiency import efficiency
from virtlab.cloud.fleet_loss import Fleet, lost, price_at_which
from virtlab.cloud.judges.common import ARCHITECTURE, cited, filled, near
from virtlab.cloud.mix import Mix, loss, part_loss, share_for, weighted
from virtlab.cloud.overhead import overhead
from virtlab.cloud.verdict import Axis, Verdict, turn, verdict
from virtlab.cloud.workloads import WORKLOADS
from virtlab.core.units import number, show, signed
from virtlab.core.words import words
from virtlab.evidence import FACTS


def s1() -> Verdict:
    """About 10 %: the mixes of published figures that lose it. Start: 10 % network, the block share that gives it."""
    wanted = FACTS["article.loss"].value
    base = Mix(share_cpu=0.9, share_net=0.1, share_blk=0.0)
    share = share_for(wanted, base).share_blk or 0.0
    start = _shares(base, net=0.1, blk=share)

    def about(**changes: Any) -> bool:
        return near(loss(start, **changes).loss, wanted)

    def about_shares(net: float, blk: float) -> bool:
        return near(loss(_shares(base, net, blk)).loss, wanted)

    blk_axis, net_axis = (Axis(name, high=1 - other) for name, other in (("share_blk", 0.1), ("share_net", share)))
    conditions = (
        turn("about", "mix", blk_axis, share, lambda v: about_shares(0.1, v)),
        turn("about", "mix", net_axis, 0.1, lambda v: about_shares(v, share)),
        turn("about", "mix", Axis.of(Mix, "block"), start.block, lambda v: about(block=v)),
        turn("about", "mix", Axis.of(Mix, "network"), start.network, lambda v: about(network=v)),
        turn("about", "mix", Axis.of(Mix, "system"), start.system, lambda v: about(system=v)),
        turn("about", "mix", Axis.of(Mix, "weights"), start.weights, lambda v: about(weights=v)),
    )
    cpu, small, large, net = (
        part_loss("cpu", base),
        part_loss("blk", base),
        part_loss("blk", base.replace(block="128k-qd32-read")),
        part_loss("net", base),
    )
    sentences = filled(
        "s1", wanted=show(wanted, "%"), cpu_low=show(cpu.low, "%"), cpu_high=show(cpu.high, "%"),
        small=signed(-small.loss, "%"), large=signed(-large.loss, "%"), net=signed(-net.loss, "%"),
        low=show(conditions[0].low or 0.0, "%"), high=show(conditions[0].high or 0.0, "%"),
        mix=_mix_text(), default=show(loss().loss, "%"), time=show(loss(weights="time").loss, "%"),
    )  # fmt: skip
    ids = (f.id for figure in (cpu, net, small, large) for f in figure.facts)
    calls = (
        f"cloud.loss(share_cpu={start.share_cpu:.3f}, share_net=0.1, share_blk={share:.3f})",
        "cloud.share_for(0.1, share_cpu=0.9, share_net=0.1, share_blk=0.0)",
    )
    return verdict("S1", sentences, conditions, cited("article.loss", *dict.fromkeys(ids)), calls)


def _mix_text() -> str:
    """The default mix in words: 60 % computing, 25 % network, 15 % block I/O."""
    return ", ".join(f"{show(share, '%')} {words(f'cloud.part.{name}')}" for name, share in Mix().shares.items())


def _shares(mix: Mix, net: float, blk: float) -> Mix:
    changed: Mix = mix.replace(share_cpu=max(0.0, 1 - net - blk), share_net=net, share_blk=blk)
    return changed


#: What moves the loss of a host whose duties are on a card, with its start: parameters of the workload "compute".
_WORK = {
    name: (Axis(name, unit, 0, high), WORKLOADS["compute"].model_dump()[name])
    for name, unit, high in (("storage_share", "1", 0.5), ("network_share", "1", 0.5), ("timers_per_s", "1/s", 1e5))
}


def _below(limit: float, name: str, value: float) -> bool:
    return _cipu(**{name: value}) < limit


def _cipu(**changes: float) -> float:
    """The loss of a host whose duties are on a card, computing."""
    return overhead("cipu", "compute", **changes).loss


def s2() -> Verdict:
    """Below 1 %: how little may go wrong. Start: the card's promise, I/O that loses nothing and no core kept back."""
    limit, cores = FACTS["article.loss.after"].value, FACTS["fleet.cores"].value
    cpu, device = FACTS["overhead.gregg.hardware"], FACTS["overhead.eli.after"]
    shares = Mix().shares

    def total(cpu_loss: float = cpu.value, io_loss: float = 0.0, reserved_cores: float = 0) -> float:
        slowdown = weighted({"cpu": cpu_loss, "net": io_loss, "blk": io_loss}, shares, "servers")
        return efficiency(reserved_cores / cores, slowdown).loss

    io_axis = Axis("io_loss", "1", 0.0, 1 - device.low)
    cpu_axis = Axis("cpu_loss", "1", cpu.low, cpu.high)
    kept = Axis("reserved_cores", "cores", 0, 16, integer=True)
    conditions = (
        turn("below", "promise", io_axis, 0.0, lambda v: total(io_loss=v) < limit),
        turn("below", "promise", kept, 0, lambda v: total(reserved_cores=v) < limit),
        turn("below", "promise", cpu_axis, cpu.value, lambda v: total(cpu_loss=v) < limit),
        *(turn("below", "cipu_computing", axis, start, functools.partial(_below, limit, name))
          for name, (axis, start) in _WORK.items()),
        turn("below", "each_workload", Axis("workload", choices=tuple(WORKLOADS)), "compute",
             lambda v: overhead("cipu", v).loss < limit),
        turn("below", "computing", ARCHITECTURE, "cipu", lambda v: overhead(v, "compute").loss < limit),
    )
    sentences = filled(
        "s2", mix=_mix_text(), limit=show(limit, "%"), total=show(total(), "%"), cpu=show(cpu.value, "%"),
        cpu_low=show(cpu.low, "%"), cpu_high=show(cpu.high, "%"),
        io=show(conditions[0].high or 0.0, "%"), io_high=show(io_axis.high, "%"), cores=number(cores),
        one=show(total(reserved_cores=1), "%"), cipu=show(_cipu(), "%"),
        **{name: show(conditions[3 + i].high or 0.0, axis.unit if axis.unit != "1" else "%")
           for i, (name, (axis, _)) in enumerate(_WORK.items())},
        network=show(overhead("cipu", "network").loss, "%"), storage=show(overhead("cipu", "storage").loss, "%"),
        nitro=show(overhead("nitro", "compute").loss, "%"), leap=FACTS["overhead.leapio.cores"].text(),
    )  # fmt: skip
    facts = cited("article.loss.after", cpu.id, device.id, "overhead.leapio.cores", "fleet.cores")
    calls = (f"cloud.efficiency(0, {total():.4g})", f"cloud.efficiency(1 / {cores:g}, {total():.4g})",
             'cloud.overhead("cipu", "compute")')  # fmt: skip
    return verdict("S2", sentences, conditions, facts, calls)


def s7() -> Verdict:
    """Hundreds of thousands of cores and a billion dollars: arithmetic, which contradicts itself."""
    servers, share, cost = (FACTS[f"article.{n}"].value for n in ("servers", "loss", "cost"))
    said = FACTS["article.cores.lost"].value
    sizes = tuple(int(FACTS[f"fleet.cores.{n}"].value) for n in (32, 64, 128))
    results = [lost(servers=int(servers), cores=c, loss=share) for c in sizes]
    middle = results[1].lost_cores

    def hundreds_of_thousands(cores: float) -> bool:
        return 1e5 <= cores < 1e6

    per_server = said / (servers * share)
    conditions = (
        turn("hundreds", "fleet", Axis("usual_cores", "cores", choices=sizes), sizes[0],
             lambda v: hundreds_of_thousands(servers * share * v)),
        turn("hundreds", "fleet", Axis("cores", "cores", 1, 256, True), round(per_server),
             lambda v: hundreds_of_thousands(servers * share * v)),
        turn("hundreds", "fleet64", Axis.of(Fleet, "loss"), said / (servers * sizes[1]),
             lambda v: hundreds_of_thousands(servers * sizes[1] * v)),
        turn("billion", "fleet64", Axis.of(Fleet, "core_year_usd"), price_at_which(cost, middle),
             lambda v: near(middle * v, cost)),
        turn("billion", "said", Axis.of(Fleet, "core_year_usd"), price_at_which(cost, said),
             lambda v: near(said * v, cost)),
    )  # fmt: skip
    sentences = filled(
        "s7", share=show(share, "%"), servers=show(servers, "servers"), sizes=", ".join(map(str, sizes)),
        results=", ".join(number(r.lost_cores / 1e6) for r in results), said=show(said, "cores"),
        per_server=number(per_server), cost=show(cost, "USD"), price_said=show(price_at_which(cost, said), "USD", 4),
        price=show(price_at_which(cost, middle), "USD", 5), middle=show(middle, "cores"),
        threads=number(results[1].lost_threads / 1e6),
    )  # fmt: skip
    facts = cited("article.servers", "article.loss", "article.cores.lost", "article.cost", "fleet.core_year",
                   "fleet.threads_per_core", *(f"fleet.cores.{n}" for n in sizes))  # fmt: skip
    calls = ("cloud.lost(cores=64)", "cloud.price_at_which(1e9, 3e5)", "cloud.price_at_which(1e9, 6.4e6)")
    return verdict("S7", sentences, conditions, facts, calls)
