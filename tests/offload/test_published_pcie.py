"""PCIe against what others published, nothing fitted: slides, an FPGA's peaks, Sun's exerciser, Intel's sum."""
import pytest

from virtlab.evidence import FACTS
from virtlab.offload import packet_dma, pcie
from virtlab.paths import line_rate

near = pytest.approx
LONG = {"transfer_bytes": 65_536}


def between(measured, **options):
    """Whether it lies between the two readings of the acknowledgement limit; within 3 % counts as touching."""
    low, high = (pcie(dllp=d, **options) for d in ("published", "spec"))
    return lambda what: 0.97 * getattr(low, what) <= measured <= 1.03 * getattr(high, what)


def test_m52_data_transfers_carry_32_to_50_gbit():
    """The slides' curve is reading and writing at once, from 64 B to a full frame."""
    fact = FACTS["pcie.m52.data"]
    assert [pcie(transfer_bytes=n).both_gbit_per_s for n in (60, 1514)] == near([fact.low, fact.high], rel=0.02)


def test_m52_nics_carry_12_to_48_gbit():
    """From a simple NIC with small frames to DPDK with full ones."""
    fact = FACTS["pcie.m52.nic"]
    slow, fast = packet_dma(frame_bytes=64), packet_dma(frame_bytes=1518, nic="dpdk")
    assert [slow.gbit_per_s(), fast.gbit_per_s()] == near([fact.low, fact.high], rel=0.05)


@pytest.mark.parametrize(("key", "what"), [("write", "write_gbit_per_s"), ("read", "read_gbit_per_s"),
                                          ("write_read", "both_gbit_per_s"), ("both", "both_gbit_per_s")])
def test_an_fpgas_rates_lie_between_the_two_readings_of_the_table(key, what):
    """Its peaks (142 cycles) are those of the specification, its mean over 2 MB that of the published model."""
    assert between(FACTS[f"pcie.an690.{key}"].value, **LONG)(what)


def test_an_fpgas_peaks_are_the_specifications_within_3_percent():
    found = pcie(dllp="spec", **LONG)
    seen = [FACTS[f"pcie.an690.{k}"].value for k in ("write", "read", "write_read")]
    assert [found.write_gbit_per_s, found.read_gbit_per_s, found.both_gbit_per_s] == near(seen, rel=0.035)


def test_an_fpgas_mean_both_ways_is_the_published_models_within_1_percent():
    assert pcie(**LONG).both_gbit_per_s == near(FACTS["pcie.an690.both"].value, rel=0.01)


@pytest.mark.parametrize("lanes", [4, 8])
@pytest.mark.parametrize("what", ["write_gbit_per_s", "read_gbit_per_s"])
def test_suns_expected_rates_lie_between_the_two_readings(lanes, what):
    fact = FACTS[f"pcie.sun.x{lanes}"]
    for rate in (fact.low, fact.high):
        assert between(rate, pcie_generation=1, lanes=lanes, mps=128, **LONG)(what)


def test_intels_example_of_a_read_is_a_header_of_20_bytes():
    """512 B in two completions of 256 B: 512 / (512 + 40)."""
    o = pcie().options
    assert 512 / o.answer_bytes(512) == near(512 / 552)


def test_a_64_byte_read_at_a_time_says_what_m58_measured():
    """Class R: 550 ns for 64 B. One tag, and the rate is that of the latency."""
    found = pcie(transfer_bytes=64, tags=1, dma_ns=FACTS["pcie.m58.read"].value)
    assert found.read_gbit_per_s == near(64 * 8 / 550)


def test_no_gen3_x8_nic_that_does_all_for_each_packet_keeps_up_with_40_gbit_of_small_frames():
    """What the slides show: the NIC's curve crosses the line rate of 40 Gb/s far above 64 B."""
    def keeps_up(nic, frame):
        return packet_dma(nic=nic, frame_bytes=frame).packets_per_s() >= line_rate(40, frame)

    crossing = {nic: next(f for f in range(64, 1519) if keeps_up(nic, f)) for nic in ("simple", "kernel", "dpdk")}
    assert crossing["simple"] > 512 and crossing["dpdk"] < crossing["kernel"] < crossing["simple"]
