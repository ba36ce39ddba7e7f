"""Which kernel is booted and which modules are loaded, on kernels made of files; and the tool that fetches one."""
import gzip
import lzma
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.machine.guest.kernel import Kernel, depends, find_kernel, unpacked
from virtlab.machine.owning import MachineError
from virtlab.machine.presence import GUEST, Host

TOOL = Path(__file__).resolve().parents[2] / "tools" / "guest_kernel.py"


def module(*needs):
    return b"\x7fELF\0license=GPL\0depends=" + ",".join(needs).encode() + b"\0intree=Y\0"


def make(top, version="6.1.0-9-cloud-amd64", builtin=("virtio",), **modules):
    """A kernel below a folder; modules by name, as the bytes of their files."""
    folder = top / "lib/modules" / version
    (folder / "kernel/drivers").mkdir(parents=True)
    (top / "boot").mkdir(exist_ok=True)
    (top / "boot" / f"vmlinuz-{version}").write_bytes(b"MZ")
    (folder / "modules.builtin").write_text("".join(f"kernel/drivers/{name}.ko\n" for name in builtin))
    for name, data in modules.items():
        (folder / "kernel/drivers" / f"{name}.ko").write_bytes(data)
    return Kernel(top / "boot" / f"vmlinuz-{version}", folder)


@pytest.fixture
def host(tmp_path):
    (tmp_path / "root").mkdir()
    return Host(root=tmp_path / "root", home=tmp_path / "home")


def ours(host):
    return host.home / GUEST


def test_a_module_is_loaded_after_all_that_it_needs_and_nothing_twice(tmp_path):
    kernel = make(tmp_path, blk=module("ring", "core"), ring=module("core"), core=module(), other=module())
    assert list(kernel.load_order(["blk", "ring"])) == ["core", "ring", "blk"]


def test_what_is_built_in_is_not_loaded(tmp_path):
    assert list(make(tmp_path, blk=module("virtio")).load_order(["virtio", "blk"])) == ["blk"]


def test_a_dash_and_an_underscore_are_the_same_in_the_name_of_a_module(tmp_path):
    kernel = make(tmp_path, **{"kvm-amd": module("kvm"), "kvm": module()})
    assert list(kernel.load_order(["kvm-amd"])) == list(kernel.load_order(["kvm_amd"])) == ["kvm", "kvm_amd"]


def test_of_optional_modules_those_without_what_they_need_are_left_out(tmp_path):
    kernel = make(tmp_path, blk=module(), net=module("core"), core=module(), odd=module("gone"))
    assert list(kernel.load_order(["blk"], ["odd", "nowhere", "net", "blk", "virtio"])) == ["blk", "core", "net"]


def test_modules_that_need_each_other_end(tmp_path):
    assert set(make(tmp_path, a=module("b"), b=module("a")).load_order(["a"])) == {"a", "b"}


def test_a_module_that_the_kernel_lacks_is_named_with_the_way_to_get_it(tmp_path):
    with pytest.raises(MachineError, match=r"has no module ring; .*guest_kernel.py --refresh"):
        make(tmp_path, blk=module("ring")).load_order(["blk"])


@pytest.mark.parametrize("suffix", ["", ".xz", ".gz", ".zst"])
def test_compressed_modules_are_unpacked(tmp_path, suffix):
    if suffix == ".zst" and shutil.which("zstd") is None:
        pytest.skip("there is no zstd here to make one")
    make_it = {"": bytes, ".xz": lzma.compress, ".gz": gzip.compress,
               ".zst": lambda data: subprocess.run(["zstd", "-qc"], input=data, capture_output=True, check=True).stdout}
    file = tmp_path / f"blk.ko{suffix}"
    file.write_bytes(make_it[suffix](module("ring")))
    assert unpacked(file) == module("ring")


@pytest.mark.parametrize("suffix", [".xz", ".gz", ".zst"])
def test_a_damaged_module_is_named(tmp_path, suffix):
    file = tmp_path / f"blk.ko{suffix}"
    file.write_bytes(b"not compressed at all")
    with pytest.raises(MachineError, match="zstd|blk.ko"):
        unpacked(file)


@given(st.binary(max_size=200))
def test_any_bytes_have_some_dependencies_or_none(data):
    assert all(isinstance(name, str) and name for name in depends(b"\0depends=" + data))


def test_our_own_kernel_goes_before_the_systems(host):
    make(host.root, "6.12.1-amd64")
    kernel = make(ours(host), "6.1.0-9-cloud-amd64")
    assert find_kernel(host) == kernel


def test_the_newest_kernel_is_taken_by_number_not_by_letter(host):
    for version in ("6.1.0-9-amd64", "6.1.0-56-amd64", "6.1.0-10-amd64"):
        make(host.root, version)
    assert find_kernel(host).version == "6.1.0-56-amd64"


def test_an_image_without_modules_is_no_kernel(host):
    make(host.root)
    (host.root / "boot/vmlinuz-9.9").write_bytes(b"MZ")
    assert find_kernel(host).version == "6.1.0-9-cloud-amd64"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_an_image_that_only_root_may_read_is_passed_over(host):
    make(host.root).image.chmod(0)
    with pytest.raises(MachineError):
        find_kernel(host)


def test_no_kernel_at_all_is_said_with_the_way_to_get_one(host):
    with pytest.raises(MachineError, match="python3 tools/guest_kernel.py"):
        find_kernel(host)


# --- the tool -------------------------------------------------------------------------------------------------------

WANTED = ("virtio_pci", "virtio_mmio", "virtio_blk", "virtio_net", "vhost_net", "tun", "kvm_amd")
# A package is a folder here, and what is asked of the archive is written to a file.
APT = """#!/bin/sh
echo "$(basename $0) $*" >> "$ASKED"
case "$(basename $0) $*" in
*"depends linux-image-cloud-amd64") echo "linux-image-cloud-amd64"; echo "  Depends: linux-image-6.1.0-7-cloud-amd64";;
*" show "*) exit 100;;
*" download "*) test -e "$PACKAGE" || { echo "E: no network" >&2; exit 100; }; touch kernel.deb;;
"dpkg-deb -x "*) cp -r "$PACKAGE" "$3";;
esac
"""
posix = pytest.mark.skipif(os.name != "posix", reason="a shell script stands for apt-get")


@pytest.fixture
def archive(tmp_path):
    """A home, a package archive of shell scripts, and the call of the tool with them."""
    for name in ("apt-get", "apt-cache", "dpkg-deb"):
        (tmp_path / "bin").mkdir(exist_ok=True)
        (tmp_path / "bin" / name).write_text(APT)
        (tmp_path / "bin" / name).chmod(0o755)
    make(tmp_path / "package", "6.1.0-7-cloud-amd64", **dict.fromkeys((*WANTED, "unwanted"), module()))
    environ = {"HOME": str(tmp_path / "home"), "PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin",
               "ASKED": str(tmp_path / "asked"), "PACKAGE": str(tmp_path / "package")}  # fmt: skip

    def fetch(*arguments, **changes):
        return subprocess.run([sys.executable, str(TOOL), *arguments], env={**environ, **changes}, text=True,
                              capture_output=True, timeout=60)  # fmt: skip

    fetch.asked = lambda: (tmp_path / "asked").read_text() if (tmp_path / "asked").exists() else ""
    fetch.home = tmp_path / "home"
    return fetch


@posix
def test_the_tool_keeps_the_image_and_the_wanted_modules_alone(archive):
    done = archive()
    assert done.returncode == 0, done.stderr
    kernel = find_kernel(Host(root=archive.home / "none", home=archive.home))
    assert kernel.version == "6.1.0-7-cloud-amd64" and str(kernel.image) in done.stdout
    assert set(kernel.load_order(WANTED)) == set(WANTED)
    assert not list(archive.home.rglob("unwanted*"))
    assert os.listdir(archive.home / ".cache/virtlab") == ["guest"], "nothing else is left"


@posix
def test_the_tool_asks_the_archive_for_nothing_the_second_time_unless_told_to(archive):
    archive()
    asked = archive.asked()
    assert archive().returncode == 0 and archive.asked() == asked
    assert archive("--refresh").returncode == 0 and archive.asked() != asked


@posix
def test_the_tool_keeps_what_a_general_kernel_loads_as_far_as_the_package_has_it(archive, tmp_path):
    for name, needs in (("xfs", ("crc",)), ("crc", ()), ("veth", ("gone",))):
        folder = tmp_path / "package/lib/modules/6.1.0-7-cloud-amd64/kernel/drivers"
        (folder / f"{name}.ko").write_bytes(module(*needs))
    assert archive().returncode == 0
    assert {file.stem for file in archive.home.rglob("*.ko")} == {*WANTED, "xfs", "crc"}


@posix
def test_a_kernel_that_was_fetched_for_fewer_modules_is_fetched_again(archive):
    archive()
    (looked_for,) = archive.home.rglob("looked_for")
    looked_for.write_text(" ".join(WANTED))
    asked = archive.asked()
    assert archive().returncode == 0 and archive.asked() != asked


@posix
def test_a_failed_fetch_is_said_in_one_line_and_leaves_what_was_there(archive):
    archive()
    before = sorted(archive.home.rglob("*"))
    done = archive("--refresh", PACKAGE="/nowhere")
    assert done.returncode == 1 and "no network" in done.stderr and "Traceback" not in done.stderr
    assert sorted(archive.home.rglob("*")) == before


@posix
def test_without_apt_the_tool_says_so(archive):
    done = archive(PATH="/nowhere")
    assert done.returncode == 1 and "there is no apt-get here" in done.stderr
