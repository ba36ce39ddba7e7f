"""Fetches a kernel for the guest into ~/.cache/virtlab/guest: apt-get download and dpkg-deb -x, without root.

Kept are the image and the modules that virtlab loads, unpacked: about 46 MiB. What is there already stays, unless
--refresh asks for the newest. Needs Debian or Ubuntu on a PC (amd64), and about 30 MB from its package archive.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from virtlab.machine.guest.kernel import GENERAL, Kernel, find_kernel
from virtlab.machine.owning import MachineError
from virtlab.machine.presence import GUEST, Host

#: What a guest of virtlab may load: disk, network, the switch's two ends for vhost-net, and KVM itself. (Of GENERAL,
#: what the package has is kept too.)
WANTED = ("virtio_pci", "virtio_mmio", "virtio_blk", "virtio_net", "vhost_net", "tun", "kvm_amd")
#: Beside the modules kept, the names that were looked for: what is there may have been fetched for fewer.
LOOKED_FOR = "looked_for"
#: The packages that depend on the newest kernel for a virtual machine: Debian's and Ubuntu's.
NEWEST = ("linux-image-cloud-amd64", "linux-image-virtual")
_SECONDS = 600.0


class Failed(Exception):
    """One sentence for the person who called."""


def main() -> None:
    """Looks, fetches, and says what is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--refresh", action="store_true", help="fetch the newest kernel even if one is there")
    args = parser.parse_args()
    target = Path.home() / GUEST
    try:
        kernel = None if args.refresh else complete(target)
        if kernel is None:
            kernel = fetch(target)
    except (Failed, MachineError, OSError) as error:
        sys.exit(f"guest_kernel: {error}")
    size = sum(file.stat().st_size for file in target.rglob("*") if file.is_file())
    print(f"{kernel.image}: Linux {kernel.version} for the guest, {size / 2**20:.1f} MiB with its modules")


def complete(target: Path) -> Kernel | None:
    """The kernel in our folder, if it has every module."""
    try:
        kernel = find_kernel(Host(root=target, home=target))  # no other kernel counts
        kernel.load_order(WANTED)
        looked_for = (kernel.modules / LOOKED_FOR).read_text(encoding="utf-8").split()
    except (MachineError, OSError):
        return None
    return kernel if {*WANTED, *GENERAL} <= {*looked_for} else None


def fetch(target: Path) -> Kernel:
    """Downloads the newest kernel and puts what is needed of it in the place of what was there."""
    for program in ("apt-get", "apt-cache", "dpkg-deb"):
        if shutil.which(program) is None:
            raise Failed(f"there is no {program} here; Debian and Ubuntu have it. The notebooks show recorded results")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".guest-", dir=target.parent) as folder:
        work = Path(folder)
        for package in download(work):
            run("dpkg-deb", "-x", str(package), str(work / "all"))
        new = keep(work / "all", work / "new")
        if target.exists():
            target.rename(work / "old")  # goes with the folder
        (work / "new").rename(target)
    return Kernel(target / new.image.relative_to(work / "new"), target / new.modules.relative_to(work / "new"))


def download(work: Path) -> list[Path]:
    """The packages of the newest kernel, as files."""
    (work / "apt/lists/partial").mkdir(parents=True)
    lists: list[str] = []
    version = newest(lists)
    if version is None:  # an image that threw its package lists away: read them anew, into a folder of our own
        lists = ["-o", f"Dir::State={work}/apt", "-o", f"Dir::State::Lists={work}/apt/lists",
                 "-o", f"Dir::Cache={work}/apt"]  # fmt: skip
        print("guest_kernel: reading the package lists", flush=True)
        run("apt-get", "-qq", *lists, *unboxed(), "update")
        version = newest(lists)
    if version is None:
        raise Failed(f"the package archive of this system has none of {', '.join(NEWEST)}")
    names = [f"linux-image-{version}"]
    if asked("apt-cache", *lists, "show", f"linux-modules-{version}"):  # Ubuntu's modules are a package of their own
        names.append(f"linux-modules-{version}")
    print(f"guest_kernel: fetching {' and '.join(names)}", flush=True)
    run("apt-get", "-qq", *lists, *unboxed(), "download", *names, cwd=work)
    return sorted(work.glob("*.deb"))


def unboxed() -> list[str]:
    """As root, apt-get would hand over to a user who cannot write into our folder, and complain."""
    return ["-o", "APT::Sandbox::User=root"] if os.geteuid() == 0 else []


def newest(lists: list[str]) -> str | None:
    """The version of the newest kernel that the package lists have."""
    for package in NEWEST:
        found = re.search(r"Depends: linux-image-(\d\S+)", asked("apt-cache", *lists, "depends", package))
        if found:
            return found[1]
    return None


def keep(unpacked: Path, new: Path) -> Kernel:
    """Copies the image, the list of what is built in, and the wanted modules, unpacked where they are compressed."""
    for top in (unpacked, unpacked / "usr"):  # since Debian 13, /lib is /usr/lib in packages too
        modules = next(iter(top.glob("lib/modules/*")), None)
        if modules is not None:
            break
    else:
        raise Failed("the package has no modules")
    image = unpacked / "boot" / f"vmlinuz-{modules.name}"
    kept = Kernel(new / "boot" / image.name, new / "lib/modules" / modules.name)
    kept.image.parent.mkdir(parents=True)
    shutil.copyfile(image, kept.image)
    folder = kept.modules / "kernel"
    folder.mkdir(parents=True)
    if (modules / "modules.builtin").exists():
        shutil.copyfile(modules / "modules.builtin", kept.modules / "modules.builtin")
    for name, data in Kernel(image, modules).load_order(WANTED, GENERAL).items():
        (folder / f"{name}.ko").write_bytes(data)
    (kept.modules / LOOKED_FOR).write_text(" ".join([*WANTED, *GENERAL]), encoding="utf-8")
    return kept


def asked(*command: str) -> str:
    """What a program prints; nothing when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=_SECONDS, check=False,
                          env={**os.environ, "LC_ALL": "C"}, stdin=subprocess.DEVNULL)  # fmt: skip
    return done.stdout if done.returncode == 0 else ""


def run(*command: str, cwd: Path | None = None) -> None:
    """Runs a program. Raises Failed with its last words."""
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=_SECONDS, check=False,
                          env={**os.environ, "LC_ALL": "C"}, stdin=subprocess.DEVNULL, cwd=cwd)  # fmt: skip
    if done.returncode:
        raise Failed(f"{' '.join(command[:2])} failed: {(done.stderr or done.stdout).strip()[-500:]}")


if __name__ == "__main__":
    main()
