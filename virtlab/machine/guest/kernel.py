"""A Linux kernel to boot: where it lies on this computer, and which of its modules to load in which order."""

from __future__ import annotations

import contextlib
import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from virtlab.core.words import say
from virtlab.machine.owning import MachineError, start
from virtlab.machine.presence import GUEST, Host

#: How a module's file may end, the plain one first: Debian 12 does not compress modules, Debian 13 and Ubuntu do.
SUFFIXES = (".ko", ".ko.xz", ".ko.zst", ".ko.gz")
#: What a kernel for any guest and any purpose loads besides: file systems, disks and their layers, network cards of the
#: clouds, tunnels and filters, and the rest of virtio.
GENERAL = (
    "xfs", "vfat", "exfat", "isofs", "squashfs", "overlay", "virtiofs", "autofs4", "nfsv4", "binfmt_misc", "configfs",
    "loop", "nbd", "zram", "dm_mod", "dm_crypt", "dm_multipath", "sd_mod", "sr_mod", "sg", "virtio_scsi", "vmw_pvscsi",
    "iscsi_tcp", "ata_piix", "ata_generic",
    "virtio_net", "ena", "gve", "mlx4_en", "mlx5_core", "ixgbevf", "vmxnet3", "bonding", "vxlan", "geneve", "wireguard",
    "macvlan", "ipvlan", "veth", "tun", "vhost_net", "vhost_vsock", "vmw_vsock_virtio_transport",
    "nf_tables", "nf_conntrack", "nft_ct", "nft_nat", "ip_tables", "iptable_nat", "bridge", "openvswitch", "ip_vs",
    "sctp", "virtio_balloon", "virtio_mem", "virtio_input", "virtio_console", "virtio_rng", "virtio_mmio", "evdev",
    "mousedev", "softdog",
)  # fmt: skip
_UNPACK_SECONDS = 20.0


@dataclass(frozen=True)
class Kernel:
    """A kernel image, and the folder with the modules of the same version (``lib/modules/VERSION``)."""

    image: Path
    modules: Path

    @property
    def version(self) -> str:
        return self.modules.name

    def load_order(self, names: Iterable[str], optional: Iterable[str] = ()) -> dict[str, bytes]:
        """The modules of these names and all that they depend on, each after those: what ``insmod`` takes in turn.

        What is built into the kernel is left out, and of ``optional`` what this kernel does not have. Raises
        MachineError for another module that it does not have.
        """
        files = self._files()
        builtin = self._builtin()
        ordered: dict[str, bytes] = {}
        seen: set[str] = set()

        def take(name: str) -> None:
            name = _plain(name)
            if name in seen or name in builtin:
                return
            seen.add(name)
            if name not in files:
                raise MachineError(say("guest.why.module", name=name, kernel=self.version))
            data = unpacked(files[name])
            for other in depends(data):
                take(other)
            ordered[name] = data

        for name in names:
            take(name)
        for name in optional:
            with contextlib.suppress(MachineError):
                take(name)
        return ordered

    def _files(self) -> dict[str, Path]:
        found = sorted(path for path in self.modules.glob("kernel/**/*.ko*") if path.name.endswith(SUFFIXES))
        return {_plain(path.name.partition(".ko")[0]): path for path in found}

    def _builtin(self) -> set[str]:
        try:
            lines = (self.modules / "modules.builtin").read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return set()
        return {_plain(Path(line.strip()).stem) for line in lines}


def find_kernel(host: Host | None = None) -> Kernel:
    """The newest kernel that this user may read and that has its modules: our own folder first, then the system's.

    Raises MachineError with what is missing and how to get it.
    """
    host = host or Host()
    for top in (host.home / GUEST, host.root):
        for image in sorted(top.glob("boot/vmlinuz-*"), key=_by_version, reverse=True):
            kernel = Kernel(image, top / "lib/modules" / image.name.removeprefix("vmlinuz-"))
            if kernel.modules.is_dir() and _readable(image):
                return kernel
    raise MachineError(say("guest.why.kernel", folder=f"~/{GUEST}"))


def depends(module: bytes) -> list[str]:
    """The modules that one needs, from its own ``.modinfo``: the package holds no modules.dep, the system makes it."""
    found = re.search(rb"\0depends=([\w,-]*)\0", module)
    return [name for name in found[1].decode("ascii").split(",") if name] if found else []


def unpacked(file: Path) -> bytes:
    """The module in a file, compressed or not. Raises MachineError when it cannot be read or unpacked."""
    try:
        if file.name.endswith(".zst"):  # Python can do it from 3.14 on
            return _unzstd(file)
        data = file.read_bytes()
        if file.name.endswith(".xz"):
            import lzma

            return lzma.decompress(data)
        if file.name.endswith(".gz"):
            import gzip

            return gzip.decompress(data)
    except MachineError:
        raise
    except Exception as error:  # each of the three has errors of its own
        raise MachineError(say("guest.why.unpack", name=file, error=f"{type(error).__name__}: {error}")) from error
    return data


def _unzstd(file: Path) -> bytes:
    with contextlib.ExitStack() as held:
        process = start(held, ["zstd", "-dcq", str(file)], stdout=subprocess.PIPE)
        data = process.communicate(timeout=_UNPACK_SECONDS)[0]
        if process.returncode:
            raise MachineError(say("guest.why.unpack", name=file, error=f"zstd: {process.returncode}"))
        return data


def _plain(name: str) -> str:
    """The name as the kernel writes it: kvm-amd.ko is the module kvm_amd."""
    return name.replace("-", "_")


def _by_version(image: Path) -> list[tuple[int, int, str]]:
    """Sorts 6.1.0-9 before 6.1.0-56."""
    parts = re.split(r"(\d+)", image.name)
    return [(1, int(part), "") if part.isdigit() else (0, 0, part) for part in parts]


def _readable(image: Path) -> bool:
    """Ubuntu lets only root read the images in /boot."""
    try:
        with image.open("rb") as file:
            return bool(file.read(1))
    except OSError:
        return False
