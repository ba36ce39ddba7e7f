"""Boots of Linux, counted: twice the same on a real QEMU; and QEMUs and guests that lie, flood, stop or say nothing."""
import os
import sys
import tomllib

import pytest

from tests.machine.leftovers import nothing_left
from virtlab.core.parameter import ParameterError
from virtlab.machine import boots as module
from virtlab.machine import counted, look
from virtlab.machine.boots import CASES, measure_boots, recorded_boots
from virtlab.machine.guest.boot import DISK
from virtlab.machine.guest.counting import CountedGuest, stopper
from virtlab.machine.guest.initramfs import busybox
from virtlab.machine.guest.kernel import Kernel, find_kernel
from virtlab.machine.owning import MachineError

linux = pytest.mark.skipif(sys.platform != "linux", reason="a guest is booted on Linux")
guest_kernel = getattr(pytest.mark, "guest-kernel")


# --- a real one -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def seen():
    """One boot on microvm, twice."""
    try:
        if sys.platform != "linux" or not look()["qemu"].present:
            pytest.skip("needs Linux and QEMU")
        busybox()
        find_kernel().load_order((*DISK, "virtio_mmio"))
    except MachineError as missing:
        pytest.skip(str(missing))
    with nothing_left():
        return [measure_boots(300, ["microvm_needed"]) for _ in range(2)]


@pytest.mark.machine
@guest_kernel
def test_two_boots_run_the_same_number_of_instructions_to_the_last(seen):
    """To /init. The disk answers from another thread, so that the number for its modules moves by some thousandths."""
    first, second = (record.cases["microvm_needed"] for record in seen)
    assert first["init_instructions"] == second["init_instructions"] > 1e8
    assert first["load_instructions"] == pytest.approx(second["load_instructions"], rel=0.01)
    assert (first["modules"], first["devices"]) == (second["modules"], second["devices"])


@pytest.mark.machine
@guest_kernel
def test_linux_boots_on_a_microvm_with_a_pit_and_finds_its_disk(seen):
    first = seen[0]
    assert first.complete and first.subject == find_kernel().version
    assert first["microvm_needed", "modules"] > 1 and first["microvm_needed", "disks"] == 1
    assert first["microvm_needed", "devices"] < recorded_boots()["pc_none", "devices"]


# --- what comes with the course -------------------------------------------------------------------------------------


def test_the_recording_is_complete_and_more_modules_cost_more_memory_and_instructions():
    kept = recorded_boots()
    assert kept.complete and list(kept.cases) == list(CASES) and kept.witness.origin == "recorded"
    for name in ("load_instructions", "used_bytes", "slab_bytes", "modules"):
        assert kept["pc_none", name] < kept["pc_needed", name] < kept["pc_many", name]
    assert [kept[case, "disks"] for case in CASES] == [0, 1, 1, 1, 1]
    assert "Linux 6.1" in str(kept) and "microvm with PIT" in kept._repr_html_()


def test_the_recording_is_read_as_it_was_written(monkeypatch):
    kept = recorded_boots()
    monkeypatch.setattr(counted, "kept_table", lambda name: tomllib.loads(kept.toml()))
    assert counted.kept_counts("boots") == kept


# --- QEMUs that go wrong: a program in its place --------------------------------------------------------------------

FAKE = """#!{python} -IS
import json, os, re, socket, sys
fd = int(re.search(r"id=monitor,fd=(\\d+)", " ".join(sys.argv))[1])
if "--version" in sys.argv: print("QEMU emulator version 0.1"); sys.exit()
monitor = socket.socket(fileno=fd).makefile("rw")
def tell(**what): monitor.write(json.dumps(what) + "\\n"); monitor.flush()
def hear(): return json.loads(monitor.readline())["execute"]
def stop(mark, count):
    print("virtlab:mark", mark, flush=True)
    tell(event="GUEST_PANICKED")
    assert hear() == "query-replay"
    tell(**{{"return": {{"icount": count}}}})
    assert hear() == "cont"
    tell(**{{"return": {{}}}})
SAID = "MemTotal:  2000 kB,MemAvailable: 500 kB,Slab:  7 kB,modules 3,devices 5,disks 1".split(",")
tell(QMP={{}}); assert hear() == "qmp_capabilities"; tell(**{{"return": {{}}}})
{script}
"""
GOOD = 'stop("init", 1000); stop("modules", 1500); print("\\n".join(SAID)); print("virtlab:mark exit-0")'


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """Boots with a program in the place of QEMU."""
    program = tmp_path / "qemu-system-x86_64"
    for name, text in (("busybox", "\x7fELF"), (program.name, "")):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    kernel = Kernel(tmp_path / "boot/vmlinuz-1", tmp_path / "lib/modules/1")
    monkeypatch.setattr("virtlab.machine.guest.boot.find_kernel", lambda: kernel)

    def boot(script, seconds=20):
        program.write_text(FAKE.format(python=sys.executable, script=script))
        with nothing_left():
            return module.boot(module.Case("pc", "virtio-blk-pci", ()), seconds)

    return boot


@linux
def test_the_count_at_each_mark_and_the_guests_words_make_the_record(fake):
    assert fake(GOOD) == {"init_instructions": 1000, "load_instructions": 500, "used_bytes": 1500 << 10,
                          "slab_bytes": 7 << 10, "modules": 3, "devices": 5, "disks": 1}  # fmt: skip


@linux
@pytest.mark.parametrize(("script", "said"), [
    (GOOD.replace("1500)", "999)"), "something else"), (GOOD.replace("1500)", '"x")'), "something else"),
    (GOOD.replace("1000)", "-1)"), "something else"), (GOOD.replace("1500)", "1 << 63)"), "something else"),
    ('print("virtlab:mark init");' + GOOD.partition(";")[2], "2 marks, and QEMU counted at 1"),
    (GOOD.replace("SAID", "SAID[:-1]"), "did not say"),
    (GOOD.replace("SAID", 's.replace(" 500", " 5000") for s in SAID'), "did not say"),
    ('print("virtlab:mark exit-3")', "failed with status 3"), ("sys.exit(7)", r"exit status: 7\)"),
    ('tell(event="GUEST_PANICKED"); import time; time.sleep(100)', "query-replay' within 1"),
    ('monitor.write("nonsense\\n"); monitor.flush(); import time; time.sleep(100)', "something else"),
    ('for n in range(200): stop("init", n + 1)', "something else"),
], ids=range(12))  # fmt: skip
def test_a_qemu_or_a_guest_that_goes_wrong_is_an_error_in_words(fake, script, said):
    with pytest.raises(MachineError, match=said):
        fake(script, 1.5 if "sleep" in script else 20)


@linux
def test_an_interrupt_in_a_boot_comes_through_and_leaves_nothing(fake, monkeypatch):
    def interrupt(self):
        raise KeyboardInterrupt

    monkeypatch.setattr(CountedGuest, "_note_count", interrupt)
    with pytest.raises(KeyboardInterrupt):
        fake(GOOD)


@pytest.mark.parametrize("empty", [True, False])
def test_without_qemu_or_a_kernel_every_boot_is_missing_with_the_reason(monkeypatch, tmp_path, empty):
    if empty:
        monkeypatch.setenv("PATH", str(tmp_path))
    else:
        monkeypatch.setattr(counted, "qemu_version", lambda: "7.2")
        monkeypatch.setattr(module, "find_kernel", lambda: find_kernel(look_at(tmp_path)))
    seen = measure_boots()
    assert not seen.cases and list(seen.missing) == list(CASES) and not seen.complete
    assert all(why.endswith(".") or "tools/guest_kernel.py" in why for why in seen.missing.values())
    assert str(seen).count("missing.") == len(CASES)


def look_at(folder):
    from virtlab.machine.presence import Host

    return Host(root=folder, home=folder)


@pytest.mark.parametrize("seconds", [0, 1e9, float("nan")])
def test_a_time_out_of_range_is_explained(seconds):
    with pytest.raises(ParameterError, match="seconds must be 1 to 600"):
        measure_boots(seconds)


def test_an_unknown_case_is_an_error_before_anything_starts():
    with pytest.raises(KeyError, match="vax"):
        measure_boots(cases=["vax"])


@pytest.mark.skipif(not hasattr(os, "uname") or os.uname().machine != "x86_64", reason="it is a program for x86-64")
@linux
def test_the_program_that_stops_a_guest_is_one_that_linux_loads(tmp_path):
    """Outside a guest the write to a port is refused: by iopl without the right to it, so out faults."""
    import subprocess

    head = stopper()[:64 + 56]
    quits = tmp_path / "quits"
    quits.write_bytes(head[:-24] + head[-24:] + stopper()[-9:].rjust(len(stopper()) - len(head), b"\x90"))
    quits.chmod(0o755)
    assert subprocess.run([quits], timeout=20).returncode == 0
