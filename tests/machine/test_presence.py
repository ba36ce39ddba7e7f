"""What the doctor looks at, on computers made of folders and functions; and this one, whatever it has."""

import errno
import html
import sys
from dataclasses import replace

import pytest

from virtlab.core.words import words
from virtlab.machine import Host, available, look
from virtlab.machine.presence import RUNGS

INTEL = {"proc/modules": "kvm_intel 1 0\nkvm 1 1\n", "proc/cpuinfo": "processor : 0\nflags\t: fpu vmx\n"}


def refuse(device):
    raise PermissionError(errno.EACCES, "Permission denied", str(device))


@pytest.fixture
def bare(tmp_path):
    """A computer with nothing at all: no PATH, no packages, no /proc, no /dev."""
    return Host(
        system="Linux", environ={"PATH": ""}, root=tmp_path, home=tmp_path / "home",
        installed=lambda name: None, first_line=lambda command: None, kvm_api=refuse,
    )  # fmt: skip


def put(root, **files):
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def program(root, name):
    path = root / "bin" / name
    put(root, **{f"bin/{name}": "#!/bin/sh\n"})
    path.chmod(0o755)
    return {"PATH": str(root / "bin")}


def test_a_bare_computer_has_nothing_and_every_reason_is_said(bare):
    found = look(bare).found
    assert [f.id for f in found] == list(RUNGS)
    assert not any(f.present for f in found)
    assert all(f.detail for f in found)


def test_the_report_says_what_a_missing_rung_unlocks_and_how_to_get_it(bare):
    report = look(bare).text()
    for f in look(bare).found:
        assert f.unlocks in report and f.get("Linux") in report
    assert report.count(words("doctor.later")) == 3


@pytest.mark.parametrize("system", ["Linux", "Darwin", "Windows"])
def test_each_system_is_told_its_own_way(bare, system):
    report = look(replace(bare, system=system))
    assert report["kvm"].get(system) in report.text()
    assert ("brew install qemu" in report.text()) is (system == "Darwin")


def test_all_ways_are_told_when_asked_for(bare):
    report = look(bare).text(everywhere=True)
    assert "brew install qemu" in report and "sudo apt install" in report and "WSL2" in report


def test_an_unknown_system_is_told_the_way_of_debian(bare):
    assert look(replace(bare, system="FreeBSD"))["qemu"].get("FreeBSD") == look(bare)["qemu"].get("Linux")


@pytest.mark.parametrize(
    ("rung", "package"), [("jupyterlab", "jupyterlab"), ("numba", "numba"), ("repo2docker", "jupyter-repo2docker")]
)
def test_a_package_is_found_by_its_metadata(bare, rung, package):
    host = replace(bare, installed=lambda name: "1.2.3" if name == package else None)
    assert (look(host)[rung].present, look(host)[rung].detail) == (True, "1.2.3")


def test_core_packages_are_named_when_missing(bare):
    host = replace(bare, installed=lambda name: None if name == "joblib" else "1")
    assert not look(host)["python"].present and "joblib" in look(host)["python"].detail


def test_numba_that_is_switched_off_says_so(bare):
    host = replace(bare, installed=lambda name: "1", environ={"VIRTLAB_NO_NUMBA": "1"})
    assert not look(host)["numba"].present and "VIRTLAB_NO_NUMBA" in look(host)["numba"].detail


@pytest.mark.parametrize(("rung", "name"), [("qemu", "qemu-system-x86_64"), ("storage-daemon", "qemu-storage-daemon")])
def test_a_program_on_the_path_tells_its_version(bare, tmp_path, rung, name):
    host = replace(bare, environ=program(tmp_path, name), first_line=lambda command: f"{command[1]} 7.2")
    assert (look(host)[rung].present, look(host)[rung].detail) == (True, "--version 7.2")


def test_a_program_that_does_not_run_is_not_present(bare, tmp_path):
    host = replace(bare, environ=program(tmp_path, "qemu-system-x86_64"))
    assert not look(host)["qemu"].present and "version" in look(host)["qemu"].detail


def test_a_browser_needs_playwright_too(bare, tmp_path):
    environ = program(tmp_path, "chromium")
    assert not look(replace(bare, environ=environ))["browser"].present
    assert look(replace(bare, environ=environ, installed=lambda name: "1"))["browser"].present


@pytest.mark.parametrize(
    ("system", "cache"),
    [("Linux", ".cache"), ("Darwin", "Library/Caches"), ("Windows", "AppData/Local")],
)
def test_playwrights_own_browser_is_found(bare, system, cache):
    put(bare.home, **{f"{cache}/ms-playwright/chromium-1/INSTALLED": ""})
    host = replace(bare, system=system, installed=lambda name: "1")
    assert look(host)["browser"].present
    assert not look(replace(host, environ={"PLAYWRIGHT_BROWSERS_PATH": "/nowhere"}))["browser"].present


def test_no_dev_kvm_is_said(bare):
    assert look(bare)["kvm"].detail == words("doctor.why.no_kvm")


def test_dev_kvm_that_may_not_be_opened_says_eacces(bare, tmp_path):
    put(tmp_path, **{"dev/kvm": ""})
    found = look(bare)["kvm"]
    assert not found.present and "EACCES" in found.detail


def test_dev_kvm_that_opens_is_present(bare, tmp_path):
    put(tmp_path, **{"dev/kvm": ""})
    assert look(replace(bare, kvm_api=lambda device: 12))["kvm"].present


def test_dev_kvm_of_another_api_is_not_used(bare, tmp_path):
    put(tmp_path, **{"dev/kvm": ""})
    found = look(replace(bare, kvm_api=lambda device: 11))["kvm"]
    assert not found.present and "11" in found.detail


def test_hardware_kvm_needs_module_flag_and_device(bare, tmp_path):
    put(tmp_path, **INTEL, **{"dev/kvm": ""})
    host = replace(bare, kvm_api=lambda device: 12)
    assert look(host)["hardware-kvm"].present
    assert not look(bare)["hardware-kvm"].present, "the device may not be opened"


@pytest.mark.parametrize("missing", list(INTEL))
def test_hardware_kvm_is_not_there_without_module_or_flag(bare, tmp_path, missing):
    put(tmp_path, **INTEL, **{"dev/kvm": ""})
    (tmp_path / missing).unlink()
    assert not look(replace(bare, kvm_api=lambda device: 12))["hardware-kvm"].present


def test_software_kvm_is_told_apart(bare, tmp_path):
    proc = {"proc/modules": "kvm_pvm 1 0\nkvm 1 1\n", "proc/cpuinfo": "flags : fpu hypervisor\n"}
    put(tmp_path, **proc, **{"dev/kvm": ""})
    found = look(replace(bare, kvm_api=lambda device: 12))
    assert found["kvm"].present and not found["hardware-kvm"].present
    assert "software" in found["hardware-kvm"].detail and "kvm_pvm" in found["hardware-kvm"].detail


@pytest.mark.parametrize(("free", "present"), [("5", True), ("0", False)])
def test_huge_pages_must_be_free(bare, tmp_path, free, present):
    put(tmp_path, **{"proc/meminfo": f"HugePages_Total: 8\nHugePages_Free: {free}\nHugepagesize: 2048 kB\n"})
    found = look(bare)["huge-pages"]
    assert found.present is present and f"{free} of 8 pages of 2048 KiB" in found.detail


@pytest.mark.parametrize("place", ["boot", "home/.cache/virtlab/guest/boot"])
def test_a_guest_kernel_with_its_modules_and_a_busybox_is_found(bare, tmp_path, place):
    put(tmp_path, **{f"{place}/vmlinuz-6.1.0-cloud-amd64": "x"})
    assert not look(bare)["guest-kernel"].present
    put(tmp_path, **{f"{place}/../lib/modules/6.1.0-cloud-amd64/modules.builtin": ""})
    assert "busybox" in look(bare)["guest-kernel"].detail
    assert look(replace(bare, environ=program(tmp_path, "busybox")))["guest-kernel"].present


def test_the_ladder_counts_its_rungs_without_a_gap(bare, tmp_path):
    assert available(bare).level == -1
    python = replace(bare, installed=lambda name: "1", first_line=lambda command: "7.2")
    assert available(python).level == 0 and "qemu" not in available(python)
    qemu = replace(python, environ=program(tmp_path, "qemu-system-x86_64"))
    assert "qemu" in available(qemu) and available(qemu).level == 0, "the storage daemon is missing in between"
    program(tmp_path, "qemu-storage-daemon")
    assert available(qemu).level == 2 and "Not here" in str(available(qemu))
    with pytest.raises(KeyError, match="guest-kernel"):
        assert "toaster" in available(bare)


def test_a_rung_that_breaks_is_reported_and_nothing_is_raised(bare):
    def broken(name):
        raise RuntimeError("damaged metadata")

    found = look(replace(bare, installed=broken))
    assert "damaged metadata" in found["jupyterlab"].detail
    assert [f.id for f in found.found] == list(RUNGS)


def test_the_summary_names_only_what_is_used_today(bare):
    summary = look(bare).summary()
    assert look(bare)["jupyterlab"].title in summary and look(bare)["kvm"].title not in summary


def test_a_computer_with_all_of_today_is_told_so(bare, tmp_path):
    for name in ("qemu-system-x86_64", "qemu-storage-daemon", "busybox", "chromium"):
        environ = program(tmp_path, name)
    put(tmp_path, **{"boot/vmlinuz-6.1": "x", "lib/modules/6.1/modules.builtin": ""})
    host = replace(bare, installed=lambda name: "1", environ=environ, first_line=lambda command: "7.2")
    assert look(host).summary() == words("doctor.complete")


def test_every_rung_has_its_words_on_three_systems(bare):
    for f in look(bare).found:
        assert f.title and f.unlocks.endswith(".")
        assert all(words(f"doctor.{f.id}.get")[system] for system in ("Linux", "Darwin", "Windows"))


def test_this_computer_is_looked_at_once():
    assert look() is look()


def test_this_computers_report_reads_the_same_as_html():
    assert look().text() in html.unescape(look()._repr_html_())


def test_a_device_that_is_not_kvm_is_reported(bare, tmp_path):
    put(tmp_path, **{"dev/kvm": ""})
    found = look(replace(bare, kvm_api=Host.kvm_api))["kvm"]
    assert not found.present and "could not be looked at" in found.detail


def test_a_real_program_tells_its_first_line():
    assert Host().first_line([sys.executable, "--version"]).startswith("Python 3")


@pytest.mark.parametrize(
    "command", [["/no/such/program"], [sys.executable, "-c", "raise SystemExit(1)"]], ids=["missing", "failing"]
)
def test_a_program_that_is_missing_or_fails_tells_nothing(command):
    assert Host().first_line(command) is None


def test_a_program_that_hangs_is_left(monkeypatch):
    monkeypatch.setattr("virtlab.machine.presence.SECONDS", 0.05)
    assert Host().first_line([sys.executable, "-c", "import time; time.sleep(60)"]) is None
