"""Time, CPU and capacity of a path: what adds up, what bounds what, and how batches move them."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.strategies import settings_of
from virtlab.core.parameter import ParameterError
from virtlab.paths import LADDER, Costs, PathOptions, Place, Server
from virtlab.paths.path import shared_by

PATHS = st.sampled_from(sorted(LADDER))
ONE = {"kick_batch": 1, "refill_batch": None, "interrupt_batch": 1, "completion_batch": None}
CPUS = (Server.VCPU, Server.HOST, Server.BACKEND)


# --- latency -------------------------------------------------------------------------------------------------------


@given(PATHS, settings_of(PathOptions, **ONE), settings_of(Costs))
def test_at_batch_one_the_latency_is_the_sum_of_the_steps_that_hold_up_the_packet(path, options, costs):
    latency = LADDER[path].latency(options, costs=costs)
    steps = [s for s in LADDER[path].active(options) if not s.aside]
    expected = sum(
        sum(costs.ns(n) for n in (*s.cost, *s.delay)) + costs.bytes_ns(s.per_byte, options.frame_bytes) for s in steps
    )
    assert latency.total_ns == pytest.approx(expected, rel=1e-12)
    assert [s.key for s in latency.stages] == [s.key for s in steps]


@given(PATHS, settings_of(PathOptions), settings_of(Costs))
def test_stages_and_places_add_up_to_the_latency(path, options, costs):
    latency = LADDER[path].latency(options, costs=costs)
    left, right = latency.law()
    assert left == pytest.approx(right, rel=1e-12)
    assert sum(latency.by_place().values()) == pytest.approx(right, rel=1e-12)


@pytest.mark.parametrize(("direction", "batch"), [("tx", "kick_batch"), ("rx", "interrupt_batch")])
@pytest.mark.parametrize("path", LADDER)
def test_a_larger_batch_takes_longer_but_less_for_each_packet(path, direction, batch):
    totals = [LADDER[path].latency(direction=direction, **{batch: b}).total_ns for b in (1, 2, 8, 32, 64)]
    each = [t / b for t, b in zip(totals, (1, 2, 8, 32, 64), strict=True)]
    assert totals == sorted(totals)
    assert each == sorted(each, reverse=True)


def test_the_batch_of_a_latency_is_that_of_its_direction():
    options = {"kick_batch": 4, "refill_batch": 2, "interrupt_batch": 16, "completion_batch": 8}
    assert [LADDER["vhost-net"].latency(direction=d, **options).batch for d in ("tx", "rx")] == [4, 16]


def test_polling_beats_waking_and_a_card_needs_no_host_core_for_it():
    ns = {p: LADDER[p].latency(direction="tx").total_ns for p in LADDER}
    assert ns["sriov"] <= ns["vhost-user"] < ns["vhost-net"] < ns["qemu-ioeventfd"]
    assert ns["sriov"] < ns["card"] < ns["vhost-net"]  # its own switch takes time too


def test_the_end_of_an_interrupt_without_apicv_holds_up_the_packets():
    plain, pv = (LADDER["vhost-net"].latency(direction="rx", apicv=False, pv_eoi=e).total_ns for e in (False, True))
    assert plain - pv == pytest.approx(Costs().ns("exit_kernel"))


@pytest.mark.parametrize("deeper_ns", [0, 8_000, 131_000])
def test_a_sleeping_guest_pays_the_scheduler_and_what_is_deeper_than_c1_instead_of_the_ipi(deeper_ns):
    """The trip through the scheduler was measured with the shallowest idle state in it, so C1 is not paid twice."""
    shallow = Costs()
    costs = shallow.replace(idle_exit_ns=shallow.idle_exit_ns + deeper_ns)

    def one(halts):
        return LADDER["vhost-net"].latency(direction="rx", guest_halts=halts, costs=costs).total_ns

    assert one(True) - one(False) == pytest.approx(costs.wakeup_ns + deeper_ns - costs.notification_ipi_ns)


# --- CPU -----------------------------------------------------------------------------------------------------------


@given(PATHS, settings_of(PathOptions), settings_of(Costs))
def test_the_cpu_bill_is_the_sum_of_its_places_and_of_its_cores(path, options, costs):
    bill = LADDER[path].cpu(options, costs=costs)
    busy = sum(
        LADDER[path].step_busy_ns(s, options, costs) / shared_by(s, options)
        for s in LADDER[path].active(options)
        if s.server in CPUS
    )
    assert bill.host_ns_per_packet == pytest.approx(sum(bill.host_by_place.values()), rel=1e-12)
    assert bill.guest_ns_per_packet + bill.host_ns_per_packet == pytest.approx(busy, rel=1e-9)
    assert 0 <= bill.backend_ns_per_packet <= bill.host_ns_per_packet * (1 + 1e-12)


@given(settings_of(PathOptions, busy_poll=False, irq_on_vcpu_cpu=False), st.integers(1, 64))
def test_a_card_costs_the_host_at_most_what_each_path_in_software_with_a_sleeping_back_end_costs(options, batch):
    batches = {"kick_batch": batch, "refill_batch": None, "interrupt_batch": batch, "completion_batch": None}
    bills = {p: LADDER[p].cpu(options.replace(**batches)).host_ns_per_packet for p in LADDER}
    for card in ("sriov", "card"):
        for software in ("qemu", "qemu-ioeventfd", "vhost-net"):
            assert bills[card] <= bills[software], f"{card} costs more than {software}: {bills}"


@given(settings_of(PathOptions, posted=True, apicv=True, guest_halts=False))
def test_a_card_that_posts_its_interrupts_costs_the_host_nothing(options):
    for card in ("sriov", "card"):
        assert LADDER[card].cpu(options).host_ns_per_packet == 0


def test_without_posting_and_with_single_interrupts_a_card_can_cost_more_than_a_polling_vhost():
    options = {"frame_bytes": 64, "busy_poll": True, "irq_on_vcpu_cpu": True}
    assert LADDER["sriov"].cpu(**options).host_ns_per_packet > LADDER["vhost-net"].cpu(**options).host_ns_per_packet


def test_a_polling_core_is_dear_for_few_packets_and_cheap_for_many():
    poller, vhost = (LADDER[p].cpu() for p in ("vhost-user", "vhost-net"))
    assert poller.host_cores(0) == 1 and vhost.host_cores(0) == 0
    crossing = 1e9 / vhost.host_ns_per_packet  # where vhost takes one core
    assert poller.host_cores(crossing / 2) > vhost.host_cores(crossing / 2)
    assert poller.host_cores(crossing * 2) < vhost.host_cores(crossing * 2)


@given(PATHS, settings_of(PathOptions), st.floats(0.01, 1), st.integers(1, 256))
def test_the_rate_at_a_share_of_the_host_is_the_highest_within_it(path, options, share, cores):
    bill = LADDER[path].cpu(options)
    rate = bill.rate_at_host_share(share, cores)
    assume(0 < rate < math.inf)
    assert bill.host_cores(rate) <= share * cores * (1 + 1e-6)
    assert bill.host_cores(rate * (1 + 1e-5)) > share * cores * (1 - 1e-9)


def test_a_second_core_polls_where_one_is_not_enough():
    bill = LADDER["vhost-user"].cpu(posted=True)
    full = 1e9 / bill.backend_ns_per_packet
    assert [bill.host_cores(r) for r in (0, full / 2, full * 0.999, full * 1.001)] == [1, 1, 1, 2]
    assert bill.rate_at_host_share(0.25, 16) == pytest.approx(4 * full)


def test_a_share_that_the_polling_core_alone_exceeds_is_reached_at_no_rate():
    assert LADDER["vhost-user"].cpu().rate_at_host_share(0.25, 2) == 0


def test_a_path_without_host_cpu_never_reaches_a_share():
    assert LADDER["sriov"].cpu(posted=True).rate_at_host_share(0.25, 64) == math.inf


def test_an_exit_is_host_work_on_the_guests_core():
    bill = LADDER["vhost-net"].cpu()
    assert bill.host_by_place[Place.KVM] == pytest.approx(Costs().ns("exit_kernel"))
    assert bill.host_by_place[Place.KVM] <= bill.host_ns_per_packet - bill.backend_ns_per_packet


# --- capacity ------------------------------------------------------------------------------------------------------


@given(PATHS, settings_of(PathOptions), settings_of(Costs))
def test_capacity_is_that_of_the_slowest_server(path, options, costs):
    capacity = LADDER[path].capacity(options, costs=costs)
    assert capacity.packets_per_s == min(capacity.servers.values()) == capacity.servers[capacity.bottleneck]
    assert capacity.gbit_per_s == pytest.approx(capacity.packets_per_s * 8 * options.frame_bytes / 1e9)


@given(PATHS, settings_of(PathOptions, frame_bytes=64))
def test_no_path_beats_the_wire(path, options):
    assert LADDER[path].capacity(options).packets_per_s <= 148.81e6


@given(PATHS, settings_of(PathOptions), st.sampled_from(["kick", "refill", "interrupt", "completion"]))
def test_a_larger_batch_never_costs_more_cpu_nor_lowers_capacity(path, options, batch):
    name = f"{batch}_batch"
    small = 1 if getattr(options, name) is None else getattr(options, name)
    before, after = (options.replace(**{name: b}) for b in (small, min(64, 2 * small)))
    cpu = [LADDER[path].cpu(o) for o in (before, after)]
    assert cpu[1].host_ns_per_packet <= cpu[0].host_ns_per_packet * (1 + 1e-12)
    assert cpu[1].guest_ns_per_packet <= cpu[0].guest_ns_per_packet * (1 + 1e-12)
    rates = [LADDER[path].capacity(o).packets_per_s for o in (before, after)]
    assert rates[1] >= rates[0] * (1 - 1e-12)


def test_a_busy_back_end_never_sleeps_so_its_wake_ups_do_not_bound_the_rate():
    costs = Costs()
    backend = LADDER["vhost-net"].capacity().servers[Server.BACKEND]
    assert backend == pytest.approx(1e9 / (costs.vhost_packet_ns + costs.host_stack_ns + 1518 / 15))


def test_on_the_first_path_the_guests_core_does_everything():
    servers = LADDER["qemu"].capacity(direction="tx", completion_interrupts=False).servers
    assert Server.BACKEND not in servers
    assert min(servers, key=lambda s: servers[s]) is Server.VCPU


# --- how they are asked, and how they print ------------------------------------------------------------------------


@pytest.mark.parametrize("ask", ["counts", "latency", "cpu", "capacity", "simulate"])
@pytest.mark.parametrize(
    ("given_", "message"),
    [
        ({"kick_batch": 0}, "kick_batch must be 1 to 64 packets; you gave 0: with 0 packets nothing is ever sent"),
        ({"frame_bytes": 63}, "frame_bytes must be 64 to 65,550 B; you gave 63: Ethernet carries no shorter frame"),
        ({"kick_bach": 8}, "no parameter 'kick_bach'; did you mean kick_batch"),
        ({"direction": "up"}, "direction must be tx or rx; you gave 'up'"),
        ({"posted": True, "apicv": False}, "posted must be False when apicv is False: VT-d posts"),
    ],
)
def test_every_question_refuses_wrong_options_in_one_sentence(ask, given_, message):
    with pytest.raises(ParameterError, match=message):
        getattr(LADDER["vhost-net"], ask)(**given_)


@pytest.mark.parametrize("ask", ["latency", "cpu", "capacity", "simulate"])
def test_an_unknown_set_of_costs_is_answered_with_those_that_exist(ask):
    with pytest.raises(ValueError, match="costs must be one of qemu-2012, .*, amd-2020-floor, or a Costs object"):
        getattr(LADDER["vhost-net"], ask)(costs="intel")


def test_options_of_another_type_are_refused():
    with pytest.raises(ParameterError, match="options must be a PathOptions, .* you gave 'tx'"):
        LADDER["vhost-net"].counts("tx")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda b: b.host_cores(-1), "rate_packets_per_s must be 0 or more packets/s and finite; you gave -1"),
        (lambda b: b.guest_cores(math.inf), "rate_packets_per_s must be 0 or more"),
        (lambda b: b.host_cores(math.nan), "rate_packets_per_s must be 0 or more"),
        (lambda b: b.rate_at_host_share(25, 64), "share must be above 0 and at most 1 .* you gave 25: 0.25 is 25 %"),
        (lambda b: b.rate_at_host_share(0.25, 0), "host_cores must be above 0 cores"),
    ],
)
def test_a_wrong_rate_or_share_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(LADDER["vhost-net"].cpu())


@pytest.mark.parametrize("ask", ["counts", "latency", "cpu", "capacity"])
@pytest.mark.parametrize("direction", ["tx", "rx"])
@pytest.mark.parametrize("path", LADDER)
def test_results_print_as_a_table_in_text_and_html(path, direction, ask):
    result = getattr(LADDER[path], ask)(direction=direction)
    assert LADDER[path].title in str(result) and direction.upper() in str(result)
    assert repr(result) == str(result)
    assert result._repr_html_().startswith("<table><caption>")
