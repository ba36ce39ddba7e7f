"""The PCIe lab: curves and bars are the model's, the port's line is IEEE's, published points only on their link."""
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.labs.conftest import in_light
from tests.strategies import settings_of
from virtlab.core.units import show
from virtlab.evidence import FACTS
from virtlab.figures.pcie import _DRAWN, _HALF, FRAMES, ROWS
from virtlab.labs import PcieLab
from virtlab.offload import RINGS, packet_dma, pcie
from virtlab.paths import line_rate

near = pytest.approx


@pytest.fixture
def lab():
    return in_light(PcieLab)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(data=st.data())
def test_what_is_drawn_is_the_models(lab, data):
    setting = data.draw(settings_of(lab.Setting))
    lab.set(**setting.model_dump())
    result, picture = lab.result, lab._picture
    model = packet_dma(setting.options)
    assert picture._dot.get_ydata()[0] * picture.top_gbit_per_s == near(model.gbit_per_s())
    for name, line in picture._curves.items():
        assert list(line.get_ydata() * picture.top_gbit_per_s) == near(list(result.curves[name][_DRAWN]))
    for n in (0, 192, 193, 700, -1):
        frame = int(FRAMES[n])
        at = packet_dma(setting.options, frame_bytes=frame)
        link = {k: getattr(setting, k) for k in ("pcie_generation", "lanes", "mps", "mrrs", "tags", "added_ns")}
        alone = pcie(**link, transfer_bytes=frame - 4)
        assert result.curves["nic"][n] == near(at.gbit_per_s())
        assert [result.curves[k][n] for k in ("write", "read", "both")] == near(
            [alone.write_gbit_per_s, alone.read_gbit_per_s, alone.both_gbit_per_s])
        assert result.curves["wire"][n] == near(line_rate(setting.link_gbit_per_s, frame) * 8 * (frame - 4) / 1e9)
    for way in ("tx", "rx"):
        rows = model.of(way)
        shown = [t.get_text().removeprefix("• ") for t in picture._names[way] if t.get_text()]
        assert shown == [t.title for t in rows]
        for t, bars in zip(rows, picture._bars[way], strict=False):
            down, up = (sum(b.get_width() for b in pair if b.get_visible()) for pair in (bars[:2], bars[2:]))
            px = _HALF / picture.top_bytes
            assert (down, up) == near((t.down_bytes / t.per * px, t.up_bytes / t.per * px), abs=1e-6)
    assert show(model.gbit_per_s(), "Gb/s") in lab.describe()
    assert picture._bill["rate"].get_text() == show(model.gbit_per_s(), "Gb/s")


def test_no_nic_has_more_transactions_than_the_picture_has_rows():
    for nic in RINGS:
        found = packet_dma(nic=nic, frame_bytes=1518)
        assert max(len(found.tx), len(found.rx)) <= ROWS


def test_both_sides_of_each_full_payload_are_drawn():
    """Else the teeth of the saw would be cut short."""
    for mps in (128, 256, 512, 1024):
        assert {mps + 4, mps + 5} <= set(FRAMES[_DRAWN])


def test_the_frame_from_which_on_the_port_is_filled_is_the_last_tooth(lab):
    """The simple NIC meets 40 Gb/s more than once: what counts is the last time."""
    lab.reset()
    first = next(f for f in FRAMES if packet_dma(frame_bytes=int(f)).packets_per_s() >= line_rate(40, int(f)))
    frame = int(lab.describe().split(" B on.")[0].split()[-1])
    assert packet_dma(frame_bytes=frame).packets_per_s() >= line_rate(40, frame)
    assert packet_dma(frame_bytes=frame - 1).packets_per_s() < line_rate(40, frame - 1)
    assert frame >= first


def test_published_points_stand_on_their_own_link_only(lab):
    lab.reset()
    assert (64.0, FACTS["pcie.model.simple.64"].value) in lab.result.published
    lab.nic = "virtio"
    assert [y for _, y in lab.result.published] == [FACTS["pcie.m52.data"].low, FACTS["pcie.m52.data"].high]
    for other in ({"pcie_generation": 4}, {"lanes": 16}, {"mps": 512}, {"mrrs": 128}):
        lab.reset()
        lab.set(**other)
        assert not lab.result.published and not len(lab._picture._seen.get_xdata())


def test_with_the_published_slip_the_curve_goes_through_the_published_points(lab):
    lab.reset()
    lab.as_published = True
    assert "one read request" in lab.describe()
    assert [lab.result.curves["nic"][n] for n in (0, -1)] == near([y for _, y in lab.result.published[2:]], abs=5e-3)


def test_gen4_x16_carries_small_frames_of_40_but_not_of_200_gbit(lab):
    lab.reset()
    lab.set(pcie_generation=4, lanes=16, nic="dpdk")
    assert "no more than PCIe carries" in lab.describe()
    lab.link_gbit_per_s = 200.0
    assert lab.result.line_share < 0.6


def test_few_tags_bind_small_frames_first(lab):
    lab.reset()
    free = np.array(lab.result.curves["read"])
    lab.tags = 32
    few = np.array(lab.result.curves["read"])
    assert few[0] < free[0] and few[-1] == near(free[-1])
    lab.tags = 8
    assert lab._picture._bill["bound"].get_text() == "read tags"
