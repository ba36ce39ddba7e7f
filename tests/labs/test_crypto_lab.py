"""The crypto lab: the model's numbers where they belong, published points, and the reader's CPU as a ringed point."""
import numpy as np
import pytest

from virtlab.evidence import FACTS
from virtlab.labs import CryptoLab
from virtlab.labs import crypto as module
from virtlab.machine import Facts, Measured, Quantity, recorded_ciphers
from virtlab.machine.measured import CIPHERS
from virtlab.offload import encryption

HERE = Facts("Test CPU", 8, "Linux 7", "2027-01-01", virtual=False)


def fake(*missing):
    rows = [Quantity(key, missing="Not here.") if key in missing else Quantity(key, 4.0, 2.0, 5.0, 9)
            for key in CIPHERS]
    return Measured(tuple(rows), HERE)


@pytest.fixture
def lab(monkeypatch):
    monkeypatch.setattr(module, "measure_ciphers", lambda seconds: fake())
    monkeypatch.setattr(CryptoLab, "strict", True)
    lab = CryptoLab(theme="light")
    yield lab
    lab.close()


def at(line):
    x, y = line.get_data()
    return float(np.ravel(x)[0]), float(np.ravel(y)[0])


def test_it_opens_with_the_recorded_cpu_and_measures_nothing(monkeypatch):
    monkeypatch.setattr(module, "measure_ciphers", lambda seconds: pytest.fail("measured without being asked"))
    lab = CryptoLab()
    assert lab.measured is recorded_ciphers() and "Recorded on" in lab.describe() and "2.67 cores" in lab.describe()
    lab.close()


def test_the_dot_and_the_delays_are_the_models(lab):
    lab.set(throughput_gbit_per_s=50.0, cipher_cycles_per_byte=1.2, request_bytes=8192, hand_overs=2)
    now, picture = encryption(**lab.setting.model_dump()), lab._picture
    assert at(picture._dot) == (50, pytest.approx(now.cores))
    for key, point in picture._points.items():
        assert at(point)[0] == pytest.approx(now.by_place[key].latency_ns)


def test_the_line_has_the_cores_of_each_throughput(lab):
    xs, ys = lab._picture._line.get_data()
    for x, y in zip(xs, ys, strict=True):
        assert y == pytest.approx(encryption(throughput_gbit_per_s=x).cores, rel=1e-6)


def test_a_mark_stands_where_the_threads_are_full(lab):
    for place, threads in (("guest", 8), ("host", 1)):
        x, y = at(lab._picture._ends[place])
        assert y == threads and encryption(throughput_gbit_per_s=x).cores == pytest.approx(threads)


def test_the_card_stands_in_a_strip_of_its_own_up_to_what_its_engine_does(lab):
    lab.card_crypto_gbit_per_s = 150
    assert lab._picture._card.get_xdata()[1] == 150
    lab.throughput_gbit_per_s = 400
    assert at(lab._picture._card_dot)[0] == 150, "it does no more"


def test_the_ring_is_the_measured_core_at_its_throughput(lab):
    lab.measure()
    assert at(lab._picture._ring) == (200, pytest.approx(25 / 4)) and "Test CPU" in lab.describe()
    assert sorted(lab._picture._spread.get_ydata()) == [pytest.approx(25 / 5), pytest.approx(25 / 2)]


def test_the_measured_block_is_shown_only_beside_a_request_of_its_size(lab):
    assert lab._picture._block.get_visible()
    lab.request_bytes = 8192
    assert not lab._picture._block.get_visible()


def test_without_openssl_there_is_no_ring_and_that_is_said(lab, monkeypatch):
    monkeypatch.setattr(module, "measure_ciphers", lambda seconds: fake("aes_xts", "aes_xts_block"))
    lab.measure()
    picture = lab._picture
    assert not any(a.get_visible() for a in (picture._ring, picture._spread, picture._block))
    assert "Not here." in lab.describe() and "2.67 cores" in lab.describe()


def test_the_published_rates_are_the_facts():
    rates = module._Picture.published
    assert rates["zen4"] == FACTS["crypto.xts.zen4.vaes"].value == 9.588
    assert rates["zenplus"] == pytest.approx(1578.9 * 2**20 / 1e9)
    assert list(module._Picture.generations.values()) == [1.63, 0.64, 0.16]


def test_a_kept_setting_is_seen_even_when_only_the_throughput_changed(lab):
    lab.keep()
    before = lab.png
    lab.throughput_gbit_per_s = 300
    assert lab._picture._ghost_at.get_visible() and at(lab._picture._ghost_at)[0] == 100
    lab.forget()
    assert lab.png != before and not lab._picture._ghost_at.get_visible()


@pytest.mark.parametrize("corner", [
    {"throughput_gbit_per_s": 1.0, "cipher_cycles_per_byte": 0.05, "request_bytes": 512, "hand_overs": 0},
    {"throughput_gbit_per_s": 800.0, "cipher_cycles_per_byte": 50.0, "request_bytes": 1 << 20, "hand_overs": 8},
])
def test_at_the_corners_every_mark_stays_in_its_axes(lab, corner):
    lab.set(**corner)
    picture = lab._picture
    for axes, marks in ((picture.axes, [picture._dot]), (picture.delays, picture._points.values())):
        for mark in marks:
            x, y = at(mark)
            assert axes.get_xlim()[0] <= x <= axes.get_xlim()[1] and axes.get_ylim()[0] <= y <= axes.get_ylim()[1]
