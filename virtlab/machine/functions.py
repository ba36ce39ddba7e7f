"""What a card with SR-IOV in a real QEMU does with its functions, beside the arithmetic; kept, or asked now."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from virtlab.core.parameter import ParameterError
from virtlab.core.table import Shown, Table
from virtlab.core.units import number, show
from virtlab.core.words import say, words
from virtlab.machine.computer import watch
from virtlab.machine.owning import MachineError
from virtlab.machine.qemu.nvme_admin import NvmeAdmin
from virtlab.machine.qemu.process import Qemu
from virtlab.machine.qemu.recorded import Witness, kept_table, qemu_version, witness_lines, witness_of
from virtlab.machine.qemu.sriov import BUS, SriovCard, options
from virtlab.offload import Functions, functions

Device = Literal["nvme", "igb"]
#: What nvme in QEMU offers at most; igb always has 8.
MOST = 127
_IGB = 8
_STATUS = 0x1C  # of an NVMe controller
_QUEUES, _VECTORS = 2, 1  # that the physical function gives to a VF: an admin queue and one for data


@dataclass(frozen=True, repr=False)
class SriovRecord(Shown):
    """What was read and counted. Routing IDs as numbers; sizes in B; counts of functions include the physical one.

    ``pages``: supported page sizes, bit n for 4 KiB << n. ``answered``: routing IDs with all VFs enabled;
    ``found_tables``: VFs whose MSI-X table lay where its place in the aperture says, and ``outside``: whether one lay
    behind the last. ``beyond`` and ``without_ari``: functions that answer after NumVFs was set to one more than
    TotalVFs, and with ARI forwarding of the port off; ``beyond`` is -1 where QEMU ended. ``kept_number``: what NumVFs
    then read. ``status_before`` and ``status_after``: of VF 1, before and after the physical function gave it queues;
    -1 where the device has no such register.
    """

    witness: Witness
    device: str
    total_vfs: int
    initial_vfs: int
    vf_offset: int
    vf_stride: int
    vf_device: int
    vf_bytes: int
    pages: int
    ari: bool
    acs_of_port: bool
    at_first: int
    answered: tuple[int, ...]
    vendor_in_vf: int
    device_in_vf: int
    vectors: int
    found_tables: int
    outside: bool
    after: int
    without_ari: int
    kept_number: int
    beyond: int
    status_before: int = -1
    status_after: int = -1

    def model(self, ari: bool = True) -> Functions:
        """The arithmetic for this card."""
        return functions(
            vfs=self.total_vfs, vf_offset=self.vf_offset, vf_stride=self.vf_stride, bus=BUS, ari=ari, vectors=1,
            vf_bar_bytes=self.vf_bytes,
        )  # fmt: skip

    def expected(self) -> tuple[int, ...]:
        """The routing IDs that the arithmetic expects: the physical function and its VFs."""
        o = self.model().options
        return (o.pf_id, *(o.routing_id(vf) for vf in range(1, self.total_vfs + 1)))

    def table(self) -> Table:
        """One row a question: what QEMU's card did, and what the arithmetic or the rules of PCI Express say."""
        o, expected = self.model(ari=False).options, self.expected()
        plain = 1 + sum(o.answers(vf) for vf in range(1, self.total_vfs + 1))
        span = [f"{ids[0]:#x}, {ids[1]:#x} … {ids[-1]:#x}" for ids in (self.answered, expected)]
        rows: list[tuple[str, str, str]] = [
            ("total", f"{self.total_vfs}, {self.initial_vfs}", ""),
            ("steps", f"{self.vf_offset}, {self.vf_stride}", ""),
            ("device", f"{self.vf_device:04x}", ""),
            ("pages", ", ".join(show(4096 << n, "B") for n in range(32) if self.pages >> n & 1), ""),
            ("lists", say("sriov.lists", **{key: words(f"sriov.{there}") for key, there in
                                            (("ari", self.ari), ("acs", self.acs_of_port))}), ""),
            ("first", number(self.at_first), "1"),
            ("enabled", number(len(self.answered)), number(len(expected))),
            ("ids", span[0], span[1]),
            ("names", f"{self.vendor_in_vf:04x}:{self.device_in_vf:04x}", "ffff:ffff"),
            ("aperture", say("sriov.aperture", each=show(self.vf_bytes, "B"), found=number(self.found_tables)),
             say("sriov.aperture", each=show(self.vf_bytes, "B"), found=number(self.total_vfs))),
            ("whole", show(self.vf_bytes * self.found_tables, "B", 4), show(self.model()["mmio"].used, "B", 4)),
        ]  # fmt: skip
        if self.status_before >= 0:
            rows += [("before", self._status(self.status_before), ""), ("given", self._status(self.status_after), "")]
        beyond = number(self.beyond) if self.beyond >= 0 else str(words("sriov.ended"))
        rows += [("disabled", number(self.after), "1"),
                 ("beyond", say("sriov.kept", kept=number(self.kept_number), answer=beyond), "1"),
                 ("plain", number(self.without_ari), number(plain))]  # fmt: skip
        texts = [(say(f"sriov.row.{key}", most=self.total_vfs), seen, said) for key, seen, said in rows]
        caption = say("sriov.caption", device=self.device, label=self.witness.label())
        return Table.of(words("sriov.header"), texts, caption, numeric=(1, 2))

    def _status(self, value: int) -> str:
        return say("sriov.status", value=f"{value:#x}", meaning=words(f"sriov.{'fatal' if value & 2 else 'healthy'}"))

    def toml(self) -> str:
        """The text of a file that :func:`recorded_functions` reads."""
        lines = witness_lines(self.witness)
        for field in fields(self)[1:]:
            lines.append(f"{field.name} = {json.dumps(getattr(self, field.name))}")
        return "\n".join([*lines, ""])


def measure_functions(device: Device = "nvme", vfs: int = 16) -> SriovRecord:
    """Asks this computer's own QEMU: all of the above with its ``nvme`` with ``vfs`` VFs (1 to 127), or its ``igb``.

    Leaves nothing behind. Raises ParameterError for other values, and MachineError, in one sentence, when there is no
    QEMU, when it has no such device or no SR-IOV (nvme from 7.1 on, igb from 8.0 on), and when it fails.
    """
    if device not in get_args(Device) or not 1 <= vfs <= MOST:
        raise ParameterError(say("sriov.range", devices=" or ".join(get_args(Device)), most=MOST, given=(device, vfs)))
    version, looked = qemu_version(), watch()
    vfs = vfs if device == "nvme" else _IGB
    try:
        seen = _ask(device, vfs)
    except MachineError as error:
        raise MachineError(say("sriov.why", qemu=version, device=device, why=error)) from None
    seen |= _beyond(device, vfs)
    return SriovRecord(Witness(version, looked()), device, **seen)


def _ask(device: Device, vfs: int) -> dict[str, Any]:
    with Qemu(options(device, vfs), machine="q35") as qemu:
        card = SriovCard(qemu)
        c = card.capability
        seen: dict[str, Any] = {
            "total_vfs": c.total_vfs, "initial_vfs": c.initial_vfs, "vf_offset": c.vf_offset, "vf_stride": c.vf_stride,
            "vf_device": c.vf_device, "vf_bytes": sum(c.bars.values()), "pages": c.pages, "ari": c.ari,
            "acs_of_port": c.acs_of_port, "at_first": len(card.answering()),
        }  # fmt: skip
        card.forward_ari(True)
        card.enable(c.total_vfs)
        answered = card.answering()
        ours = [rid for rid in answered if rid != card.pf]
        if not ours:
            raise MachineError(say("sriov.nonsense"))
        tables = card.tables_found(ours)
        vendor, name = card.names(ours[0])
        seen |= {"answered": tuple(answered), "vendor_in_vf": vendor, "device_in_vf": name,
                 "vectors": card.vectors(ours[0]), "found_tables": sum(tables[:-1]), "outside": tables[-1]}  # fmt: skip
        if device == "nvme":
            seen["status_before"] = card.register(1, _STATUS)
            NvmeAdmin(qemu, card.registers).give(1, _QUEUES, _VECTORS)
            seen["status_after"] = card.register(1, _STATUS)
        card.disable()
        seen["after"] = len(card.answering())
        card.forward_ari(False)
        card.enable(c.total_vfs, ari=False)
        seen["without_ari"] = len(card.answering())
    return seen


def _beyond(device: Device, vfs: int) -> dict[str, int]:
    """One VF more than there are, in a QEMU of its own: some versions do not check it and write behind an array."""
    kept = 0
    try:
        with Qemu(options(device, vfs), machine="q35") as qemu:
            card = SriovCard(qemu)
            card.forward_ari(True)
            kept = card.enable(card.capability.total_vfs + 1)
            return {"kept_number": kept, "beyond": len(card.answering())}
    except MachineError:
        return {"kept_number": kept, "beyond": -1}


@functools.cache
def recorded_functions() -> SriovRecord:
    """The card of a QEMU that comes with the course, with all 127 VFs, for computers that have none."""
    tree = kept_table("recorded_functions.toml")
    known = {f.name: tree[f.name] for f in fields(SriovRecord)[1:]}
    return SriovRecord(witness_of(tree), **known | {"answered": tuple(known["answered"])})
