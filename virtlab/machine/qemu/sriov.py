"""A card with SR-IOV in a real QEMU: its capability read, its VFs switched on and off, as a kernel's PCI code would."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from virtlab.core.words import say
from virtlab.machine.owning import MachineError
from virtlab.machine.qemu.ecam import Ecam
from virtlab.machine.qemu.process import Qemu

BUS = 1  # of the card: the one behind the root port
_BUSES = 4  # that the port may use
_ARI, _SRIOV, _ACS = 0x0E, 0x10, 0x0D  # extended capabilities
_EXPRESS, _MSIX = 0x10, 0x11  # capabilities
_COMMAND, _MEMORY_AND_MASTER = 0x04, 0x6
_FORWARD_ARI = 1 << 5  # of Device Control 2 of the port
_VF_ENABLE, _VF_MEMORY, _ARI_HIERARCHY = 0x01, 0x08, 0x10  # of the SR-IOV control register
_CONTROL, _INITIAL, _TOTAL, _NUMBER = 0x08, 0x0C, 0x0E, 0x10
_OFFSET, _STRIDE, _DEVICE, _PAGES, _PAGE, _BARS = 0x14, 0x16, 0x1A, 0x1C, 0x20, 0x24
_FROM, _UP_TO = 0xE000_0000, 0xF000_0000  # the memory window of the port: places of VFs first,
_OWN = 0xEF00_0000  # and that of the physical function's first BAR last
_MOST, _LARGEST = 1024, 1 << 24  # VFs that fit on the buses, and a VF's BAR in B


def options(device: str, vfs: int) -> list[str]:
    """The options for a card below a root port. ``nvme`` offers ``vfs`` of them, ``igb`` always the same."""
    card = {
        "nvme": f"nvme,serial=virtlab,subsys=sub,bus=port1,max_ioqpairs={2 * vfs + 2},msix_qsize={vfs + 2},"
                f"sriov_max_vfs={vfs},sriov_vq_flexible={2 * vfs},sriov_vi_flexible={vfs}",
        "igb": "igb,bus=port1",
    }[device]  # fmt: skip
    subsystem = ["-device", "nvme-subsys,id=sub"] if device == "nvme" else []
    return ["-device", "pcie-root-port,id=port1,slot=1", *subsystem, "-device", card]


@dataclass(frozen=True)
class Capability:
    """What the card says of its functions. ``bars`` are the sizes of one VF's memory in B, by number of the BAR."""

    total_vfs: int
    initial_vfs: int
    vf_offset: int
    vf_stride: int
    vf_device: int
    pages: int
    bars: Mapping[int, int]
    ari: bool
    acs_of_port: bool
    acs_of_card: bool


class SriovCard:
    """The physical function of a card at :data:`BUS`, in a QEMU started with :func:`options`.

    Raises MachineError when there is none, or when it says what cannot be.
    """

    def __init__(self, qemu: Qemu) -> None:
        self._ecam = ecam = Ecam(qemu)
        self._qtest = qemu.qtest
        ports = ecam.bridges()
        if not ports:
            raise MachineError(say("sriov.no_card"))
        self._port = ports[0]
        for offset, value in ((0x18, 0), (0x19, BUS), (0x1A, BUS + _BUSES - 1)):  # primary, secondary, subordinate
            ecam.write(self._port, offset, 1, value)
        self.pf = BUS << 8
        at = ecam.extended(self.pf, _SRIOV) if ecam.present(self.pf) else None
        if at is None:
            raise MachineError(say("sriov.no_card"))
        self._at = at
        self.capability = self._read()
        self._place()

    def _get(self, offset: int, size: int = 2) -> int:
        return self._ecam.read(self.pf, self._at + offset, size)

    def _set(self, offset: int, value: int, size: int = 2) -> None:
        self._ecam.write(self.pf, self._at + offset, size, value)

    def _read(self) -> Capability:
        bars, bar = {}, 0
        while bar < 6:
            where = self._at + _BARS + 4 * bar
            before = self._ecam.read(self.pf, where, 4)
            self._ecam.write(self.pf, where, 4, 0xFFFF_FFFF)
            mask = self._ecam.read(self.pf, where, 4) & ~0xF
            self._ecam.write(self.pf, where, 4, before)
            if mask and not before & 1:
                bars[bar] = (~mask & 0xFFFF_FFFF) + 1
            bar += 2 if before & 6 == 4 else 1
        seen = Capability(
            self._get(_TOTAL), self._get(_INITIAL), self._get(_OFFSET), self._get(_STRIDE), self._get(_DEVICE),
            self._get(_PAGES, 4), bars, self._ecam.extended(self.pf, _ARI) is not None,
            self._ecam.extended(self._port, _ACS) is not None, self._ecam.extended(self.pf, _ACS) is not None,
        )  # fmt: skip
        known = bars and seen.vf_offset and seen.vf_stride and 0 < seen.total_vfs <= _MOST
        if not known or max(bars.values()) > _LARGEST:
            raise MachineError(say("sriov.nonsense"))
        return seen

    def _place(self) -> None:
        """Gives each VF BAR its place, one VF after another, and opens the port's window over all of them."""
        self._where: dict[int, int] = {}
        free = _FROM
        for bar, size in self.capability.bars.items():
            free = -(-free // size) * size
            self._where[bar] = free
            for offset, value in ((0, free), (4, 0)):
                if offset == 0 or bar + 1 not in self.capability.bars:
                    self._set(_BARS + 4 * bar + offset, value, 4)
            free += size * (self.capability.total_vfs + 2)
        if free > _OWN:
            raise MachineError(say("sriov.nonsense"))
        window = (_UP_TO - 1 >> 20 << 20) & 0xFFF0_0000 | _FROM >> 16
        self._ecam.write(self._port, 0x20, 4, window)
        self.registers = _OWN
        for offset, value in ((0x10, _OWN), (0x14, 0)):
            self._ecam.write(self.pf, offset, 4, value)
        for rid in (self._port, self.pf):
            self._ecam.write(rid, _COMMAND, 2, _MEMORY_AND_MASTER)

    def forward_ari(self, on: bool) -> None:
        """Whether the port passes on all 8 bits of the function number."""
        at = self._ecam.capability(self._port, _EXPRESS)
        if at is None:
            raise MachineError(say("sriov.nonsense"))
        before = self._ecam.read(self._port, at + 0x28, 2)
        self._ecam.write(self._port, at + 0x28, 2, before | _FORWARD_ARI if on else before & ~_FORWARD_ARI)

    def enable(self, vfs: int, ari: bool = True) -> int:
        """Writes NumVFs, then VF Enable; returns what NumVFs then reads. It is not checked against TotalVFs."""
        self._set(_NUMBER, vfs)
        self._set(_CONTROL, _VF_ENABLE | _VF_MEMORY | (_ARI_HIERARCHY if ari else 0))
        return self._get(_NUMBER)

    def disable(self) -> None:
        self._set(_CONTROL, 0)

    def answering(self) -> list[int]:
        """The routing IDs that answer on the buses of the card, its physical function included."""
        return [rid for rid in range(BUS << 8, (BUS + _BUSES) << 8) if self._ecam.present(rid)]

    def names(self, rid: int) -> tuple[int, int]:
        """Vendor and device in a function's own header."""
        return self._ecam.read(rid, 0, 2), self._ecam.read(rid, 2, 2)

    def vectors(self, rid: int) -> int:
        """Entries of a function's MSI-X table; 0 where it has none."""
        at = self._ecam.capability(rid, _MSIX)
        return 0 if at is None else (self._ecam.read(rid, at + 2, 2) & 0x7FF) + 1

    def tables_found(self, rids: Sequence[int], further: int = 1) -> list[bool]:
        """For VF after VF, and ``further`` places behind the last one: whether an MSI-X table lies in its memory.

        The first entry of a table is masked at first, so that its last word reads as 1.
        """
        if not rids:
            return []
        for rid in rids:  # QEMU maps a VF's memory at the next write to its command register
            self._ecam.write(rid, _COMMAND, 2, _MEMORY_AND_MASTER)
        at = self._ecam.capability(rids[0], _MSIX)
        table = 7 if at is None else self._ecam.read(rids[0], at + 4, 4)
        if table & 7 not in self._where:
            raise MachineError(say("sriov.nonsense"))
        base, size = self._where[table & 7] + (table & ~7), self.capability.bars[table & 7]
        return [self._qtest.load(base + n * size + 12, 4) == 1 for n in range(len(rids) + further)]

    def register(self, vf: int, offset: int, size: int = 4) -> int:
        """A register in the first BAR of VF number ``vf`` (1 is the first), mapped by :meth:`tables_found`."""
        bar = min(self._where)
        return self._qtest.load(self._where[bar] + (vf - 1) * self.capability.bars[bar] + offset, size)
