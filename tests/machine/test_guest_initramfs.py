"""The archive that Python writes, read by others: a small reader of the format, and busybox's own cpio."""
import os
import shutil
import stat
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.machine.guest.initramfs import Entry, busybox, initramfs, newc
from virtlab.machine.owning import MachineError
from virtlab.machine.presence import Host

names = st.text(st.sampled_from("abcdefgh-_.é"), min_size=1, max_size=12).filter(lambda n: n not in (".", ".."))
SMALL = {"a": b"A" * 5, "b": b"B"}


def unpack(archive):
    """Reads a newc archive, straight from the kernel's description of the format: {name: (mode, data, device)}."""
    found, at = {}, 0
    while True:
        assert archive[at:at + 6] == b"070701" and at % 4 == 0
        fields = [int(archive[at + 6 + 8 * i:at + 14 + 8 * i], 16) for i in range(13)]
        _, mode, _, _, _, _, size, _, _, major, minor, name_size, check = fields
        name = archive[at + 110:at + 110 + name_size]
        assert name.endswith(b"\0") and check == 0
        at = -(-(at + 110 + name_size) // 4) * 4
        if name == b"TRAILER!!!\0":
            assert at == len(archive)
            return found
        found[name[:-1].decode()] = (mode, archive[at:at + size], (major, minor))
        at = -(-(at + size) // 4) * 4


@given(st.dictionaries(names, st.binary(max_size=50)))
def test_what_is_packed_comes_out_again(files):
    entries = [Entry(name, stat.S_IFREG | 0o644, data) for name, data in files.items()]
    assert unpack(newc(entries)) == {name: (stat.S_IFREG | 0o644, data, (0, 0)) for name, data in files.items()}


def test_the_console_is_a_device_and_the_shell_a_link():
    found = unpack(initramfs(b"\x7fELF", SMALL, "true"))
    assert found["dev/console"] == (stat.S_IFCHR | 0o600, b"", (5, 1))
    assert found["bin/sh"] == (stat.S_IFLNK | 0o777, b"busybox", (0, 0))
    assert found["init"][0] == stat.S_IFREG | 0o755


def test_a_folder_stands_before_what_is_in_it():
    seen = {""}
    for name in unpack(initramfs(b"\x7fELF", SMALL, "true", {"bin/monitor": b"M"})):
        assert os.path.dirname(name) in seen, name
        seen.add(name)


def test_init_loads_the_modules_in_their_order_and_tells_how_the_script_ended():
    found = unpack(initramfs(b"\x7fELF", SMALL, "exit 3"))
    init = found["init"][1].decode()
    assert init.index("insmod /mod/a.ko") < init.index("insmod /mod/b.ko") < init.index("sh /script")
    assert 'exit-$?' in init and init.endswith("reboot -f\n")
    assert found["mod/a.ko"][1] == SMALL["a"] and b"exit 3" in found["script"][1]


@pytest.mark.skipif(not shutil.which("busybox") or os.geteuid() != 0, reason="busybox's cpio makes a device as root")
def test_busybox_unpacks_the_same(tmp_path):
    archive = initramfs(b"\x7fELF" + bytes(1001), SMALL, "true", {"bin/x": b"X"})
    subprocess.run(["busybox", "cpio", "-idm"], input=archive, cwd=tmp_path, check=True, capture_output=True)
    for name, (mode, data, _) in unpack(archive).items():
        at = tmp_path / name
        assert stat.S_IFMT(at.lstat().st_mode) == stat.S_IFMT(mode)
        if stat.S_ISREG(mode):
            assert at.read_bytes() == data
    assert os.readlink(tmp_path / "bin/sh") == "busybox"


def program(folder, data):
    (folder / "busybox").write_bytes(data)
    (folder / "busybox").chmod(0o755)
    return Host(environ={"PATH": str(folder)})


@pytest.mark.skipif(os.name != "posix", reason="no execute bit")
def test_a_busybox_that_needs_libraries_is_refused(tmp_path):
    with pytest.raises(MachineError, match="busybox-static"):
        busybox(program(tmp_path, b"\x7fELF" + bytes(600) + b"/lib64/ld-linux-x86-64.so.2"))
    assert busybox(program(tmp_path, b"\x7fELF static")) == b"\x7fELF static"


def test_no_busybox_is_said_with_the_way_to_get_it():
    with pytest.raises(MachineError, match="apt install busybox-static"):
        busybox(Host(environ={"PATH": ""}))
