"""Scenes: played here they show exactly what was recorded; where they cannot be played they say why."""
import shutil
import tomllib
from pathlib import Path

import pytest

from tests.machine.leftovers import nothing_left
from virtlab.core.units import number
from virtlab.machine import SCENES, see
from virtlab.machine.presence import GUEST
from virtlab.machine.seeing import recorded_scene, recording
from virtlab.virtio import ide_request, virtio_batch

pytestmark = pytest.mark.machine
NEEDS = {"disks": "qemu", "guest": "guest-kernel"}
scenes = [pytest.param(scene, marks=[getattr(pytest.mark, marker), pytest.mark.qemu])
          for scene, marker in NEEDS.items()]


@pytest.mark.parametrize("scene", scenes)
def test_a_scene_that_is_played_here_shows_what_was_recorded(scene):
    if shutil.which("qemu-system-x86_64") is None:
        pytest.skip("needs qemu-system-x86_64")
    with nothing_left():
        seen = see(scene)
    if not seen.live and scene == "guest":
        pytest.skip(seen.missing)
    kept = recorded_scene(scene)
    assert seen.live and "Played on this machine, now." in str(seen)
    assert (seen.headers, seen.rows) == (kept.headers, kept.rows), "it is not the same on every computer"


@pytest.mark.parametrize("scene", SCENES)
def test_without_qemu_it_is_the_recording_with_the_reason(scene, monkeypatch):
    monkeypatch.setenv("PATH", "")
    seen = see(scene)
    assert not seen.live and seen.missing and "\n" not in seen.label
    assert seen.rows == recorded_scene(scene).rows and "Recorded on 20" in str(seen) and seen.missing in str(seen)


def test_without_a_guest_kernel_it_says_so(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    if list(Path("/boot").glob("vmlinuz-*")):
        pytest.skip("this computer has a kernel of its own to boot")
    assert GUEST.name in see("guest").missing


def test_an_unknown_scene_is_named_with_the_known_ones():
    with pytest.raises(KeyError, match="disks, guest"):
        see("opera")


def test_what_is_recorded_survives_being_written_again():
    for scene in SCENES:
        kept = recorded_scene(scene)
        entry = tomllib.loads(recording(kept, kept.date, kept.used))[scene]
        assert (entry["date"], entry["used"], tuple(entry["headers"])) == (kept.date, kept.used, kept.headers)
        assert tuple(map(tuple, entry["rows"])) == kept.rows


def test_the_recorded_accesses_are_those_of_the_model():
    rows = {row[0]: row[1:] for row in recorded_scene("disks").rows}
    counted = [number(float(a.replace(",", "")) + float(b.replace(",", "")), 6)
               for a, b in zip(rows["register reads"], rows["register writes"], strict=True)]
    model = [*(virtio_batch(kind) for kind in ("mmio", "mmio", "pci", "pci")), ide_request()]
    assert counted == [number(cost.accesses.most, 6) for cost in model]


def test_in_the_recording_the_guest_and_we_say_the_same():
    assert all(row[1] == row[2] for row in recorded_scene("guest").rows)
