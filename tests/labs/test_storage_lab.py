"""The storage lab: the model's curve and point, bare metal beside it, published runs only where they fit."""
import numpy as np
import pytest

from virtlab.evidence import FACTS
from virtlab.figures.storage import _DRAWN, DEEPEST
from virtlab.labs import StorageLab
from virtlab.paths import STORAGE, StorageCosts


@pytest.fixture
def lab(monkeypatch):
    monkeypatch.setattr(StorageLab, "strict", True)
    lab = StorageLab(theme="light")
    yield lab
    lab.close()


def at(line):
    x, y = line.get_data()
    return float(np.ravel(x)[0]), float(np.ravel(y)[0])


@pytest.mark.parametrize("path", STORAGE)
def test_curve_and_point_are_the_models(lab, path):
    lab.set(storage_path=path, depth=20, device_ns=30_000.0)
    curve = STORAGE[path].depths(costs=StorageCosts(device_ns=30_000), deepest=DEEPEST)
    rate, time = lab._picture._lines["model"]
    np.testing.assert_allclose(rate.get_ydata(), curve.iops[_DRAWN])
    np.testing.assert_allclose(time.get_ydata(), curve.latency_ns[_DRAWN])
    assert [at(dot)[1] for dot in lab._picture._dots] == pytest.approx(curve.at(20))
    assert all(at(dot)[0] == 20 for dot in lab._picture._dots)


def test_the_bar_is_one_request_alone(lab):
    lab.storage_path = "cloud-disk"
    widths = {p: b.get_width() for p, b in lab._picture._bars.items()}
    alone = STORAGE["cloud-disk"].latency().by_place()
    whole = sum(widths.values())
    for place, ns in alone.items():
        assert widths[str(place)] / whole == pytest.approx(ns / sum(alone.values()))


def test_published_runs_stand_where_they_were_measured(lab):
    lab.storage_path = "virtio-blk-sync"
    seen = sorted(at(pair[0]) for pair in lab._picture._points if pair[0].get_visible())
    facts = sorted((d, FACTS[f"nsdi20.{w}.randread.4k.qd{d}.iops"].value) for w in ("fc", "chv") for d in (1, 32))
    assert seen == facts


@pytest.mark.parametrize("change", [{"request_bytes": 8192}, {"jobs": 2}, {"cipher": "inline"},
                                    {"storage_path": "vhost-user-blk"}])
def test_no_published_run_stands_beside_another_setting(lab, change):
    lab.set(**change)
    assert not any(point.get_visible() for pair in lab._picture._points for point in pair)


def test_published_writes_alone_show_that_rate_times_latency_is_not_one(lab):
    lab.operation = "write"
    (rate, time), _ = [pair for pair in lab._picture._points if pair[0].get_visible()]
    assert at(rate)[0] == 1 and at(rate)[1] * at(time)[1] / 1e9 == pytest.approx(0.81, abs=0.01)


def test_a_cached_write_is_said_to_be_no_comparison(lab):
    lab.operation = "write"
    assert "no comparison" in lab.describe()
    lab.storage_path = "nvme-vfio"
    assert "no comparison" not in lab.describe()


def test_the_limit_is_named_with_its_knee(lab):
    assert "thread behind the ring" in lab._picture._limit[0].get_text()
    assert at(lab._picture._knee[0])[0] == pytest.approx(lab.result.knee_depth)
    lab.storage_path = "metal"
    assert "guest's cores" in lab._picture._limit[0].get_text()


@pytest.mark.parametrize("change", [{"depth": 100}, {"device_ns": 60_000.0}, {"storage_path": "metal"}])
def test_a_kept_setting_is_seen(lab, change):
    lab.keep()
    before = lab.png
    lab.set(**change)
    assert lab._picture._old[0].get_visible() and lab.png != before
    assert at(lab._picture._old[0])[0] == 32


def test_each_step_to_a_next_path_changes_the_picture(lab):
    pictures = []
    for path in STORAGE:
        lab.storage_path = path
        pictures.append(lab.png)
    assert len(set(pictures)) == len(STORAGE)


@pytest.mark.parametrize("corner", [
    {"storage_path": "virtio-blk-sync", "depth": 512, "device_ns": 1e7, "request_bytes": 1 << 20},
    {"storage_path": "cloud-disk", "depth": 512, "device_ns": 1000.0, "request_bytes": 512, "jobs": 64},
])
def test_at_the_corners_every_mark_stays_in_its_axes(lab, corner):
    lab.set(**corner)
    picture = lab._picture
    for axes, dot in zip((picture.rate, picture.time), picture._dots, strict=True):
        (x, y), (x0, x1), (y0, y1) = at(dot), axes.get_xlim(), axes.get_ylim()
        assert x0 <= x <= x1 and y0 <= y <= y1
