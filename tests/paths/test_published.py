"""The model against published measurements: the conditions set as published, no constant fitted to any row.

Each row agrees within a stated factor, and says why not closer. Rows of ``published_io.csv`` that are not here:
``io.linux.*``, ``io.xdp.*``, ``io.cx5.*``, ``io.dpdk.latency.*`` have no VM (``io.linux.route.1core`` is where the cost
of the host stack comes from, so that agreement would prove nothing); ``io.ena.pps`` is where the card's cost comes
from; ``io.kvm.dsync.*`` and ``io.blk.*`` are block I/O; ``io.kvm2010.exits`` counts all exits, not those of the path.
"""

from __future__ import annotations

import math

import pytest

from virtlab.evidence import FACTS
from virtlab.paths import LADDER, Costs

#: From guest to host: neither card nor wire bound anything.
NO_WIRE = Costs(link_gbit_per_s=800, pcie_gbit_per_s=2000)


def agree(model: float, fact: str, factor: float) -> None:
    published = FACTS[fact].value
    ratio = model / published
    assert 1 / factor <= ratio <= factor, (
        f"{fact}: model {model:.4g}, published {published:.4g} {FACTS[fact].unit}: factor {ratio:.2f}, allowed {factor}"
    )


# --- rates ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fact", ["io.vhost.testpmd.before", "io.vhost.testpmd.after"])
def test_vhost_behind_a_polling_guest_without_the_host_stack(fact):
    """Factor 2: the two rows differ by how the ring is updated, which is one constant here."""
    no_stack = Costs(host_stack_ns=20)  # XDP_DROP on the tap
    capacity = LADDER["vhost-net"].capacity(
        costs=no_stack, frame_bytes=64, guest_poll=True, busy_poll=True, kick_batch=64
    )
    assert capacity.bottleneck == "backend"
    agree(capacity.packets_per_s, fact, 2)


@pytest.mark.parametrize("fact", ["io.vhost.pktgen.before", "io.vhost.pktgen.after"])
def test_vhost_under_pktgen(fact):
    """Factor 2: pktgen has no socket and keeps the worker busy; direction and CPU are not stated."""
    capacity = LADDER["vhost-net"].capacity(frame_bytes=64, guest_poll=True, busy_poll=True)
    agree(capacity.packets_per_s, fact, 2)


#: netperf UDP_STREAM of 1472 B from an ordinary guest; virtio-net asks for few completion interrupts.
UDP = {"direction": "tx", "frame_bytes": 1518, "kick_batch": 1, "completion_batch": 64}


@pytest.mark.parametrize(("busy_poll", "fact"), [(False, "before"), (True, "after")])
def test_udp_from_an_ordinary_guest_with_and_without_kicks(busy_poll, fact):
    """Factor 2, the model is the faster one: a UDP system call a packet, and barriers of 2018 that it leaves out."""
    capacity = LADDER["vhost-net"].capacity(busy_poll=busy_poll, **UDP)
    assert capacity.bottleneck == "vcpu"
    agree(capacity.packets_per_s, f"io.vhost.busypoll.{fact}.packets", 2)


def test_the_gain_of_not_kicking():
    """Factor 1.5 of the ratio: constant costs cancel; the kick is one exit of a CPU that was not stated."""
    before, after = (LADDER["vhost-net"].capacity(busy_poll=b, **UDP).packets_per_s for b in (False, True))
    published = FACTS["io.vhost.busypoll.after.packets"].value / FACTS["io.vhost.busypoll.before.packets"].value
    assert 1 / 1.5 <= (after / before) / published <= 1.5


def test_kicks_per_packet_with_and_without_busy_polling():
    """Every packet kicks when nothing suppresses it (0.8 published: some met a busy worker); none under polling."""
    kicks = {b: LADDER["vhost-net"].counts(busy_poll=b, **UDP).vcpu_exits_per_packet for b in (False, True)}
    agree(kicks[False], "io.vhost.busypoll.before.kicks_per_packet", 1.5)
    assert kicks[True] == 0
    after = FACTS["io.vhost.busypoll.after.kicks"].value / FACTS["io.vhost.busypoll.after.packets"].value
    assert after < 1e-4


@pytest.mark.parametrize("apicv", [True, False])
def test_what_an_ordinary_guest_receives_over_vhost_user(apicv):
    """Factor 2, the model is the faster one: APICv is not stated, and a socket that drops still costs its interrupt."""
    capacity = LADDER["vhost-user"].capacity(direction="rx", interrupt_batch=2, apicv=apicv)
    assert capacity.bottleneck == "vcpu", "the guest and not the back end is the limit"
    agree(capacity.packets_per_s, "io.vhost_user.guest.rx", 2)


@pytest.mark.parametrize("apicv", [True, False])
def test_packets_per_interrupt_follow_from_napi(apicv):
    """Factor 2: nothing sets the 2.37; a guest that polls while it is busy takes them by itself."""
    run = LADDER["vhost-user"].simulate(
        direction="rx", rate_packets_per_s=FACTS["io.vhost_user.guest.rx"].value, apicv=apicv, packets=5_000
    )
    agree(1 / run.interrupts_per_packet, "io.vhost_user.guest.packets_per_interrupt", 2)


@pytest.mark.parametrize("direction", ["tx", "rx"])
def test_polling_on_both_sides_of_the_ring(direction):
    """Factor 2: frame size and number of cores are not stated, and "more than" is a lower bound."""
    capacity = LADDER["vhost-user"].capacity(direction=direction, frame_bytes=64, guest_poll=True)
    agree(capacity.packets_per_s, "io.dpdk.vhost_user", 2)


def test_a_card_fills_its_link_with_segments():
    """Factor 1.5: the abstract states no link; 40 Gb/s is what the paper's generation had."""
    capacity = LADDER["card"].capacity(costs=Costs(link_gbit_per_s=40), frame_bytes=65_550, kick_batch=8)
    assert capacity.bottleneck == "wire"
    agree(capacity.gbit_per_s, "io.accelnet.rate", 1.5)


@pytest.mark.parametrize("fact", ["io.vhost.stream.before", "io.vhost.stream.after"])
def test_streams_of_large_segments_are_too_fast_in_the_model(fact):
    """A known disagreement, kept in sight: 2 to 6 times too fast.

    Per segment of 64 KiB the real stack also allocates and frees 16 pages and receives acknowledgements, and the data
    comes from memory, not from cache: at 5 GB/s (the low end of the copy's range) the model is within a factor of 2.
    """
    options = {"direction": "rx", "frame_bytes": 65_550, "interrupt_batch": 64, "busy_poll": True}
    in_cache = LADDER["vhost-net"].capacity(costs=NO_WIRE, **options).gbit_per_s
    from_memory = LADDER["vhost-net"].capacity(costs=NO_WIRE.replace(copy_gbyte_per_s=5), **options).gbit_per_s
    assert 2 < in_cache / FACTS[fact].value < 6
    agree(from_memory, fact, 2)


# --- latencies -----------------------------------------------------------------------------------------------------


def transaction_us(path: str, costs: Costs | None = None, **receive: object) -> float:
    """A small request out and its answer back, without the peer's own time."""
    costs = costs or Costs()
    out = LADDER[path].latency(direction="tx", frame_bytes=64, costs=costs)
    back = LADDER[path].latency(direction="rx", frame_bytes=64, costs=costs, **receive)
    return (out.total_ns + back.total_ns) / 1e3


def test_one_tcp_transaction_with_and_without_halt_polling():
    """Factor 1.5: peer, CPU and idle states are not stated; the peer's time is left out."""
    agree(transaction_us("vhost-net", guest_halts=True), "io.kvm.rr.nopoll", 1.5)
    agree(transaction_us("vhost-net", guest_halts=False), "io.kvm.rr.poll", 1.5)


def test_what_halt_polling_saves():
    """Factor 1.5: 7 µs published, from the scheduler's 6 µs of the same source and an idle state of the table."""
    saved = transaction_us("vhost-net", guest_halts=True) - transaction_us("vhost-net", guest_halts=False)
    published = FACTS["io.kvm.rr.nopoll"].value - FACTS["io.kvm.rr.poll"].value
    assert 1 / 1.5 <= saved / published <= 1.5


def test_the_median_transaction_of_virtio_net():
    """Factor 1.5: guest and host are not stated."""
    agree(transaction_us("vhost-net"), "io.virtio.rr.p50", 1.5)


@pytest.mark.parametrize("fact", ["io.fc.net.rtt.added", "nsdi20.fc.ping.avg", "nsdi20.qemu.ping.avg"], ids=lambda f: f)
def test_a_ping_a_second_lies_between_the_shallowest_and_the_deepest_idle_state(fact):
    """No factor, an interval: a core that sleeps for a second leaves C1 (2 µs) or C6 (133 µs); which, is not stated.

    Firecracker and QEMU without vhost are the same path: an ioeventfd, an event loop in user space, a tap.
    """
    shallow, deep = (
        transaction_us("qemu-ioeventfd", Costs(idle_exit_ns=FACTS[f].value), guest_halts=True)
        for f in ("cpu.idle_exit", "cpu.idle_exit.c6")
    )
    published = FACTS[fact].value
    assert shallow < published < deep, f"{fact}: {published} µs, model {shallow:.0f} to {deep:.0f} µs"
    assert shallow > published / 5, "with no deep sleep the model is low, but not by an order of magnitude"


@pytest.mark.parametrize("posted", [True, False])
def test_a_tcp_message_between_two_guests_on_cards(posted):
    """An upper bound was published (15 µs); busy guests, one way, both stacks."""
    card = LADDER["card"]
    out = card.latency(direction="tx", frame_bytes=64, posted=posted).total_ns
    back = card.latency(direction="rx", frame_bytes=64, posted=posted).total_ns
    published = FACTS["io.accelnet.latency"].value * 1e3
    assert published / 3 < out + back < published


def test_no_fact_of_a_comparison_is_a_default_of_the_model():
    """Otherwise agreement would be circular."""
    defaults = {spec.fact for spec in Costs.specs().values()}
    compared = {
        f for f in FACTS if f.startswith(("io.vhost", "io.kvm", "io.virtio", "io.fc", "io.accelnet", "io.dpdk"))
    }
    assert not defaults & compared
    assert all(not math.isnan(FACTS[f].value) for f in compared)
