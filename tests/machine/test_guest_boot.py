"""A Linux guest under TCG: it runs a script and powers off; whatever goes wrong is told, and nothing is left behind."""
import hashlib
import os
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.machine.leftovers import alive, children
from virtlab.machine import look
from virtlab.machine.guest import DISK, Guest, Kernel, boot_guest, find_kernel
from virtlab.machine.guest.initramfs import busybox
from virtlab.machine.owning import MachineError

linux = pytest.mark.skipif(sys.platform != "linux", reason="a guest is booted on Linux")
guest_kernel = getattr(pytest.mark, "guest-kernel")
ROOT = Path(__file__).resolve().parents[2]
SECTOR = b"virtlab!" * 64
SCRIPT = """
mark script
for n in 1 2 3 4 5; do test -b /dev/vda && break; sleep 0.1; done
echo "version $(uname -r)"
echo "sum $(head -c 512 /dev/vda | sha256sum | cut -c1-16)"
dd if=/dev/vda of=/dev/vda bs=512 count=1 seek=3 conv=notrunc oflag=direct 2>/dev/null
mark copied
echo "whole $(sha256sum < /dev/vdb | cut -c1-16)"
dd if=/dev/zero of=/dev/vdb bs=4k count=16 seek=4 conv=notrunc oflag=direct 2>/dev/null
mark served
"""


def held():
    """What a guest must give back: open files, children, and temporary folders."""
    return sorted(os.listdir("/proc/self/fd")), sorted(children()), os.listdir(tempfile.gettempdir())


@pytest.fixture(scope="module", autouse=True)
def scratch(tmp_path_factory):
    """A temporary folder of our own: others put theirs where all do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(tmp_path_factory.mktemp("scratch")))
        yield


# --- a real one -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real(scratch):
    """QEMU and a kernel that it can boot."""
    try:
        if sys.platform != "linux" or not look()["qemu"].present:
            pytest.skip("needs Linux and QEMU")
        busybox()
        find_kernel().load_order(DISK)
    except MachineError as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="module")
def booted(real):
    """One boot, with a disk that is a file without a name, and one that this process serves; both as descriptors."""
    from virtlab.machine.vhost.blk import BlkBackend

    before, disk, (ours, theirs) = held(), os.memfd_create("disk"), socket.socketpair()
    served = bytearray(random.Random(1).randbytes(1 << 20))
    whole = hashlib.sha256(served).hexdigest()[:16]
    with BlkBackend(ours, served) as backend, theirs:
        serving = threading.Thread(target=backend.run)
        serving.start()
        try:
            os.pwrite(disk, SECTOR.ljust(1 << 20, b"\0"), 0)
            done = boot_guest(SCRIPT, seconds=180, pass_fds=[disk, theirs.fileno()], devices=[
                "-blockdev", f"driver=file,node-name=disk,filename=/proc/self/fd/{disk}",
                "-device", "virtio-blk-pci,drive=disk",
                "-chardev", f"socket,id=back,fd={theirs.fileno()}", "-device", "vhost-user-blk-pci,chardev=back",
            ])  # fmt: skip
            written = os.pread(disk, 512, 3 * 512)
        finally:
            theirs.close()
            serving.join(30)
            os.close(disk)
    assert held() == before
    return SimpleNamespace(done=done, written=written, whole=whole, served=served, backend=backend)


@pytest.mark.machine
@guest_kernel
def test_a_guest_runs_its_script_and_powers_off(booted):
    done = booted.done
    assert list(done.marks) == ["init", "modules", "script", "copied", "served", "exit-0"]
    assert sorted(done.marks.values()) == list(done.marks.values()) and done.marks["exit-0"] <= done.seconds
    assert f"version {done.kernel}" in done.lines


@pytest.mark.machine
@guest_kernel
def test_a_disk_on_an_inherited_descriptor_is_read_and_written(booted):
    assert f"sum {hashlib.sha256(SECTOR).hexdigest()[:16]}" in booted.done.lines
    assert booted.written == SECTOR


@pytest.mark.machine
@guest_kernel
def test_linux_reads_and_writes_a_disk_that_python_serves(booted):
    """A vhost-user back end of our own, behind the driver of a kernel that others wrote."""
    assert f"whole {booted.whole}" in booted.done.lines
    assert booted.served[4 * 4096:20 * 4096] == bytes(16 * 4096) and any(booted.served[:4096])
    assert booted.backend.error is None and booted.backend.counted["errors"] == 0
    assert booted.backend.counted["requests"] == sum(booted.backend.counted[k] for k in ("reads", "writes", "flushes"))


@pytest.mark.machine
@guest_kernel
def test_a_guest_that_is_not_done_in_time_ends_with_the_end_of_its_console(real):
    before, start = held(), time.monotonic()
    with pytest.raises(MachineError, match=r"not done after 2 s\. Its console ends:\n(\[ *\d|\(nothing)"):
        boot_guest("true", seconds=2, append="earlyprintk=serial loglevel=7")
    assert time.monotonic() - start < 12
    assert held() == before


STARTS = """
import os, sys
from pathlib import Path
from virtlab.machine.guest import Guest
with Guest("sleep 1000", append="earlyprintk=serial loglevel=7") as guest:
    for line in guest.lines():
        print(guest._process.pid, flush=True)
"""


@pytest.mark.machine
@guest_kernel
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL], ids=lambda end: end.name)
def test_whoever_starts_a_guest_and_is_stopped_leaves_nothing(real, end, tmp_path):
    starter = subprocess.Popen([sys.executable, "-c", STARTS], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               text=True, cwd=ROOT, env={**os.environ, "TMPDIR": str(tmp_path)})  # fmt: skip
    try:
        qemu = int(starter.stdout.readline())  # the kernel has said its first words
        assert alive(qemu)
        starter.send_signal(end)
        _, said = starter.communicate(timeout=30)
    finally:
        starter.kill()
    assert (end == signal.SIGKILL) or "KeyboardInterrupt" in said
    deadline = time.monotonic() + 10
    while alive(qemu) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not alive(qemu)
    assert os.listdir(tmp_path) == []


# --- QEMUs that go wrong: a shell script in its place ---------------------------------------------------------------


@pytest.fixture
def qemu(tmp_path, monkeypatch):
    """Puts a script where QEMU is looked for, and boots a kernel of nothing with it."""
    kernel = Kernel(tmp_path / "boot/vmlinuz-1", tmp_path / "lib/modules/1")
    for name, text in (("busybox", "\x7fELF"), ("qemu-system-x86_64", "")):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    def boot(script, **options):
        (tmp_path / "qemu-system-x86_64").write_text(f"#!/bin/sh\n{script}\n")
        before = held()
        try:
            return boot_guest("true", modules=(), kernel=kernel, **options)
        finally:
            assert held() == before

    return boot


GOOD = "echo virtlab:mark init; echo virtlab:mark exit-0"


@linux
def test_a_guest_is_done_when_its_script_says_so(qemu):
    done = qemu(GOOD)
    assert list(done.marks) == ["init", "exit-0"] and done.kernel == "1"


@linux
@pytest.mark.parametrize(("script", "said"), [
    ("echo qemu: bad option >&2; exit 1", r"ended before its script did .*: 1\).*\nqemu: bad option"),
    ("echo 'Kernel panic - not syncing'", r"ended before its script did .*: 0\).*\nKernel panic"),
    ("exit 0", r"\(nothing\)"),
    ("echo virtlab:mark exit-7", "script failed with status 7"),
    (f"{GOOD}; exit 3", "QEMU ended with status 3"),
    (f"{GOOD}; kill -11 $$", "QEMU ended with status -11"),
    ("head -c 5000000 /dev/zero; exec tail -f /dev/null", "printed more than 4 MiB"),
    ("sleep 100", "not done after 1 s"),
    ("exec >&- 2>&-; sleep 100", "not done after 1 s"),  # it closes its console, and stays
])  # fmt: skip
def test_a_guest_that_does_not_succeed_is_an_error_with_its_console(qemu, script, said):
    with pytest.raises(MachineError, match=f"(?s){said}"):
        qemu(script, seconds=1 if "sleep" in script else 20)


@linux
def test_a_console_of_any_bytes_does_not_reach_the_reader_raw(qemu):
    with pytest.raises(MachineError) as error:
        qemu(r"printf '\033[2J\377\376\000\007virtlab:mark \033[1mexit-9\n'; head -c 100000 /dev/urandom")
    assert all(line.isprintable() for line in str(error.value).splitlines())


@linux
def test_an_interrupt_while_a_guest_boots_ends_it(qemu, monkeypatch):
    def interrupt(self):
        raise KeyboardInterrupt

    monkeypatch.setattr(Guest, "_read", interrupt)
    with pytest.raises(KeyboardInterrupt):
        qemu("sleep 100")


@linux
def test_the_command_is_that_of_the_design(qemu):
    line = " ".join(qemu(f'echo "$@"; {GOOD}', devices=["-device", "x"], append="more", ram_mib=96).lines)
    for part in ("-nodefaults -no-user-config -display none -no-reboot -accel tcg -cpu max -m 96",
                 "memory-backend-memfd,id=ram,size=96M,share=on -machine pc,memory-backend=ram",
                 "-append console=ttyS0 reboot=t panic=-1 quiet more -serial stdio -device x"):  # fmt: skip
        assert part in line
    assert re.search(r"-initrd /proc/self/fd/\d+ ", line)


@linux
@pytest.mark.parametrize("limits", [{"seconds": 0}, {"seconds": 1e9}, {"seconds": float("nan")}, {"ram_mib": 64}])
def test_a_limit_out_of_range_is_said_before_anything_starts(qemu, limits):
    with pytest.raises(ValueError, match=f"{next(iter(limits))} must be"):
        qemu("exit 1", **limits)


@linux
def test_without_qemu_the_reader_is_told_what_to_get(qemu, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    (tmp_path / "nowhere").mkdir()
    (tmp_path / "busybox").rename(tmp_path / "nowhere/busybox")
    with pytest.raises(MachineError, match="no program qemu-system-x86_64"):
        qemu("")


@pytest.mark.skipif(sys.platform == "linux", reason="elsewhere")
def test_other_systems_are_told_so():
    with pytest.raises(MachineError, match="Linux"):
        boot_guest("true")
