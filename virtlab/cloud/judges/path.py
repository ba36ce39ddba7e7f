"""The judges of a packet's path, the old one and the card's: S10, S11, S12, S14."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from virtlab.cloud.judges.common import BATCH, PATH, batch_of, cited, counts_of, filled
from virtlab.cloud.verdict import Axis, Verdict, turn, verdict
from virtlab.core.units import number, show
from virtlab.core.words import say, words
from virtlab.evidence import FACTS
from virtlab.offload import OFFLOADED
from virtlab.paths import LADDER, Costs, PathOptions, Place

_SCOPE = Axis("scope", choices=("host", "guest", "host+guest", "host+guest+dma"))
_IDLE = Axis.of(Costs, "idle_exit_ns")
_HALTS = Axis.of(PathOptions, "guest_halts")
_POSTED = Axis.of(PathOptions, "posted")


def _latency_ns(path: str, idle_exit_ns: float | None = None, **options: Any) -> float:
    costs = Costs() if idle_exit_ns is None else Costs(idle_exit_ns=idle_exit_ns)
    return LADDER[path].latency(costs=costs, **options).total_ns


def _times(count: float) -> str:
    """A whole number of times in words: once, twice."""
    return str(words("judge.times")[int(count)])


def _recalled_range(latency_ns: Callable[[Costs], float]) -> tuple[float, float]:
    """A latency with all recalled costs at the ends of their ranges that make it least, and at those that make it most.

    Each cost moves the latency in one direction only, so its better end can be found by turning it alone.
    """
    best: dict[str, Any] = {}
    worst: dict[str, Any] = {}
    for name, spec in Costs.specs().items():
        fact = FACTS[spec.fact]
        if fact.evidence == "R" and fact.is_interval:
            ends: list[dict[str, Any]] = [{name: fact.low}, {name: fact.high}]
            less, more = sorted(ends, key=lambda end: latency_ns(Costs(**end)))
            best |= less
            worst |= more
    return latency_ns(Costs(**best)), latency_ns(Costs(**worst))


def s10() -> Verdict:
    """At least three switches, two copies, more than 20 µs: by batch, scope, sleeping guest and idle state."""
    switches, copies = FACTS["article.switches"].value, FACTS["article.copies"].value
    limit_ns = FACTS["article.latency"].value * 1e3
    asleep: dict[str, Any] = {"direction": "rx", "guest_halts": True}

    def three(batch: float = 1, path: str = "qemu-ioeventfd", **options: Any) -> bool:
        return counts_of(path, **batch_of(batch), **options).switches_per_packet >= switches

    def strictly(batch: float) -> bool:
        return counts_of("qemu-ioeventfd", **batch_of(batch), **asleep).context_switches_per_packet >= switches

    def two(direction: str, scope: Any) -> bool:
        return counts_of("qemu-ioeventfd", direction=direction).copies(scope) == copies

    def slow(path: str = "qemu-ioeventfd", **options: Any) -> bool:
        return _latency_ns(path, **options) > limit_ns

    ping, least, local = (FACTS[f"nsdi20.{n}"] for n in ("qemu.ping.avg", "qemu.ping.min", "loopback.ping.avg"))

    def round_trip_ns(idle: float) -> float:
        return _latency_ns("qemu-ioeventfd", idle, **asleep) + _latency_ns("qemu-ioeventfd", idle)

    def within_ping(idle: float) -> bool:
        return round_trip_ns(idle) <= ping.value * 1e3

    # The idle-state exit at which the model takes as long as the measured ping: the machine to start from.
    matching = turn("slow", "qemu_asleep", _IDLE, 0.0, within_ping).high or 0.0
    # Each hand-over to a sleeping thread or guest adds one idle-state exit.
    hand_overs = (round_trip_ns(_IDLE.high) - round_trip_ns(_IDLE.high / 2)) / (_IDLE.high / 2)
    c1e, c6 = FACTS["cpu.idle_exit.c1e"], FACTS["cpu.idle_exit.c6"]
    conditions = (
        turn("switches", "qemu_send", BATCH, 1, three),
        turn("switches", "qemu_asleep", BATCH, 1, lambda v: three(v, **asleep)),
        turn("strictly", "qemu_asleep", BATCH, 1, strictly),
        turn("switches", "send", PATH, "qemu-ioeventfd", lambda v: three(path=v)),
        turn("copies", "qemu_send", _SCOPE, "host+guest", lambda v: two("tx", v)),
        turn("copies", "qemu_receive", _SCOPE, "host", lambda v: two("rx", v)),
        turn("slow", "qemu_asleep", _IDLE, matching, lambda v: slow(idle_exit_ns=v, **asleep)),
        turn("slow", "qemu_receive", _IDLE, matching, lambda v: slow(idle_exit_ns=v, direction="rx")),
        turn("slow", "qemu_send", _IDLE, matching, lambda v: slow(idle_exit_ns=v)),
        turn("slow", "asleep", PATH, "qemu-ioeventfd", lambda v: slow(v, idle_exit_ns=matching, **asleep)),
    )
    trips = (LADDER["qemu-ioeventfd"].latency(), LADDER["qemu-ioeventfd"].latency(**asleep))
    outside = sum(trip.by_place()[place] for trip in trips for place in (Place.CARD, Place.PCIE, Place.WIRE))
    base, received = counts_of("qemu-ioeventfd"), counts_of("qemu-ioeventfd", direction="rx")
    loaded, idle = (FACTS[f"io.linux.bridge.latency.{n}"] for n in ("loaded", "idle"))
    sentences = filled(
        "s10", exits=number(base.switches_per_packet), switches=number(base.context_switches_per_packet),
        breaks=number(conditions[0].breaks_at),
        then=number(counts_of("qemu-ioeventfd", **batch_of(2)).switches_per_packet),
        tx=_times(base.host_copies_per_packet), rx=_times(received.host_copies_per_packet),
        asleep=show(_latency_ns("qemu-ioeventfd", **asleep), "ns"), send=show(_latency_ns("qemu-ioeventfd"), "ns"),
        receive=show(_latency_ns("qemu-ioeventfd", direction="rx"), "ns"), limit=show(limit_ns, "ns"),
        paths=_paths_over(limit_ns, asleep), idle_asleep=show(conditions[6].low or 0.0, "ns"),
        idle_send=show(conditions[8].low or 0.0, "ns"), idle_receive=show(conditions[7].low or 0.0, "ns"),
        ping=show(ping.value, "us"), least=show(least.value, "us"), local=show(local.value, "us"),
        way=show(ping.value / 2, "us"), matching=show(matching, "ns"), outside=show(outside, "ns"),
        hand_overs=number(hand_overs), c1e=show(c1e.value, "ns"), c6=show(c6.value, "ns"),
        bridge_idle=show(idle.value, idle.unit), bridge_loaded=show(loaded.value, loaded.unit),
    )  # fmt: skip
    facts = cited(ping.id, least.id, local.id, idle.id, loaded.id, "cpu.idle_exit", c1e.id, c6.id,
                   "host.context_switch", "host.wakeup")  # fmt: skip
    calls = (
        'paths.LADDER["qemu-ioeventfd"].counts(kick_batch=2)',
        'paths.LADDER["qemu-ioeventfd"].latency(direction="rx", guest_halts=True)',
    )
    return verdict("S10", sentences, conditions, facts, calls)


def _paths_over(limit_ns: float, options: dict[str, Any]) -> str:
    """Which paths take more than a latency with the default costs, in one sentence."""
    over = [p.title for p in LADDER.values() if _latency_ns(p.id, **options) > limit_ns]
    under = [p.title for p in LADDER.values() if p.title not in over]
    key = "none" if not over else "all" if not under else "some"
    return say(f"judge.s10_{key}", limit=show(limit_ns, "ns"), over=", ".join(over), under=", ".join(under))


# --- the card's path ------------------------------------------------------------------------------------------------


def s11() -> Verdict:
    """No host CPU, no copy, one DMA, less than 5 µs. Start: a posted interrupt to a guest that is awake, batch 1."""
    limit_ns = FACTS["article.latency.card"].value * 1e3
    receive: dict[str, Any] = {"direction": "rx", "posted": True}

    def idle_host(path: str = "card", **changes: Any) -> bool:
        return LADDER[path].cpu(**{**receive, **changes}).host_ns_per_packet == 0

    def fast(costs: dict[str, Any] | None = None, **changes: Any) -> bool:
        options = {**receive, **changes}
        return LADDER["card"].latency(costs=Costs(**(costs or {})), **options).total_ns < limit_ns

    def copies(scope: Any) -> bool:
        return counts_of("card", **receive).copies(scope) == 0

    def one(what: str) -> bool:
        counts = counts_of("card", **receive)
        return (counts.data_dmas_per_packet if what == "data" else counts.pcie_transactions_per_packet) == 1

    pipeline, stack = Axis.of(Costs, "card_pipeline_ns"), Axis.of(Costs, "guest_stack_ns")
    conditions = (
        turn("fast", "card_receive", pipeline, FACTS["card.pipeline"].value, lambda v: fast({"card_pipeline_ns": v})),
        turn("fast", "card_receive", stack, FACTS["guest.stack"].value, lambda v: fast({"guest_stack_ns": v})),
        turn("fast", "card_receive", _HALTS, False, lambda v: fast(guest_halts=v)),
        turn("fast", "card_receive", _POSTED, True, lambda v: fast(posted=v)),
        turn("fast", "card_send", pipeline, FACTS["card.pipeline"].value,
             lambda v: fast({"card_pipeline_ns": v}, direction="tx")),
        turn("idle", "card_receive", _POSTED, True, lambda v: idle_host(posted=v)),
        turn("idle", "card_receive", _HALTS, False, lambda v: idle_host(guest_halts=v)),
        turn("none", "card_receive", _SCOPE, "host", copies),
        turn("dma", "card_receive", Axis("dma", choices=("data", "transactions")), "data", one),
    )  # fmt: skip
    counts, unposted = counts_of("card", **receive), LADDER["card"].cpu(direction="rx", posted=False)
    accelnet = FACTS["io.accelnet.latency"]
    ranges = {
        "send": _recalled_range(lambda c: LADDER["card"].latency(costs=c, posted=True).total_ns),
        "receive": _recalled_range(lambda c: LADDER["card"].latency(costs=c, **receive).total_ns),
    }
    key = "undecided" if any(low < limit_ns <= high for low, high in ranges.values()) else "decided"
    ends = {f"{way}_low": show(low, "ns") for way, (low, _) in ranges.items()}
    ends |= {f"{way}_high": show(high, "ns") for way, (_, high) in ranges.items()}
    sentences = filled(
        "s11", host_copies=number(counts.host_copies_per_packet), guest_copies=number(counts.guest_copies_per_packet),
        dmas=number(counts.data_dmas_per_packet), transactions=number(counts.pcie_transactions_per_packet),
        unposted=show(unposted.host_ns_per_packet, "ns"), guest=show(unposted.guest_ns_per_packet, "ns"),
        send=show(_latency_ns("card", posted=True), "ns"), receive=show(_latency_ns("card", **receive), "ns"),
        asleep=show(_latency_ns("card", **receive, guest_halts=True), "ns"), limit=show(limit_ns, "ns"),
        pipeline=show(conditions[0].high or 0.0, "ns"), **ends, decided=words(f"judge.s11_{key}"),
        accelnet=show(accelnet.value, accelnet.unit),
    )  # fmt: skip
    facts = cited(accelnet.id, "card.pipeline", "guest.stack", "guest.irq", "pcie.dma", "host.irq")
    calls = (
        'paths.LADDER["card"].latency(direction="rx", posted=True)',
        'paths.LADDER["card"].cpu(direction="rx", posted=True)',
    )
    return verdict("S11", sentences, conditions, facts, calls)


def guest_runs_tcp(path: str) -> bool:
    """Whether the TCP steps of a path stand in the guest, in both directions, and none stands on the card."""
    steps = [step for direction in ("tx", "rx") for step in LADDER[path].active(direction=direction)]
    tcp = [step for step in steps if "net/ipv4/tcp" in step.function]
    return bool(tcp) and all(step.place is Place.GUEST for step in tcp)


def s12() -> Verdict:
    """The card runs TCP/IP: on no path of the ladder, and no card that was found."""
    stack = FACTS["guest.stack"]
    network = Axis("card_function", choices=tuple(row.id for row in OFFLOADED.of("network").rows))
    conditions = (
        turn("tcp", "both", PATH, "card", lambda v: not guest_runs_tcp(v)),
        turn("on_card", "anybody", network, "tcp", lambda v: OFFLOADED[v].on_card),
    )
    cpu = LADDER["card"].cpu(posted=True)
    sentences = filled(
        "s12", paths=number(sum(map(guest_runs_tcp, LADDER))), all=number(len(LADDER)),
        stack=show(stack.value, stack.unit), guest=show(cpu.guest_ns_per_packet, "ns"),
    )  # fmt: skip
    calls = ('paths.LADDER["card"].active(direction="tx")', 'offload.OFFLOADED.of("network")')
    return verdict("S12", sentences, conditions, cited("ena.offloads", stack.id), calls)


def s14() -> Verdict:
    """From four copies to none: which scope gives 4, which 2, which 0, and whether one gives both ends."""
    four = FACTS["article.copies"].high

    def copies(path: str, direction: str, scope: Any) -> float:
        return counts_of(path, direction=direction, posted=path == "card").copies(scope)

    def either(path: str, wanted: float, scope: Any) -> bool:
        return any(copies(path, d, scope) == wanted for d in ("tx", "rx"))

    conditions = (
        turn("four_to_none", "before_after", _SCOPE, "host",
             lambda v: any(copies("qemu", d, v) == four and copies("card", d, v) == 0 for d in ("tx", "rx"))),
        turn("four", "before", _SCOPE, "host+guest+dma", lambda v: either("qemu", four, v)),
        turn("two", "before", _SCOPE, "host", lambda v: either("qemu", FACTS["article.copies"].value, v)),
        turn("none", "after", _SCOPE, "host", lambda v: either("card", 0, v)),
    )  # fmt: skip
    falls = {
        f"{scope}_{d}".replace("+", "_"): f"{number(copies('qemu', d, scope))} → {number(copies('card', d, scope))}"
        for scope in _SCOPE.choices
        for d in ("tx", "rx")
    }
    sentences = filled("s14", four=number(four), **falls)
    calls = tuple(
        f'paths.LADDER["{p}"].counts(direction="rx").copies("{scope}")'
        for p, scope in (("qemu", "host+guest+dma"), ("qemu", "host"), ("card", "host"), ("card", "host+guest+dma"))
    )
    return verdict("S14", sentences, conditions, cited("article.copies"), calls)
