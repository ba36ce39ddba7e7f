"""The judges of thin hosts: S4, what a guest reaches, S17, trimmed kernels, S22, little code and nothing reserved."""

from __future__ import annotations

from virtlab.cloud.architectures import ARCHITECTURES
from virtlab.cloud.boots import BOOTS, boots
from virtlab.cloud.catalogue import FAMILIES, catalogue
from virtlab.cloud.code_size import BASELINES, THINGS, code_shares
from virtlab.cloud.judges.common import ARCHITECTURE, cited, filled, taken_away
from virtlab.cloud.overhead import overhead
from virtlab.cloud.slim import MOVES, slim
from virtlab.cloud.surface import Surface, surface
from virtlab.cloud.trimming import trimming
from virtlab.cloud.verdict import Axis, Verdict, turn, verdict
from virtlab.core.units import number, show
from virtlab.core.words import words
from virtlab.evidence import FACTS

_MOVE = Axis("first_move", choices=("none", *MOVES))
_FLAWS = Axis("flaws", choices=("all", "exploitable", "clouds"))
_BOOT = Axis("boot_of", choices=tuple(BOOTS))
_FAMILY = Axis("family", choices=FAMILIES)
_LITTLE = 0.005  # of a server: a third of a core of 64
_MOST = 50  # of a hundred flaws


def s4() -> Verdict:
    """A large attack surface: where what a guest reaches leads to, who wrote that in what, and which flaws count."""

    def mostly_vmm(reached: Surface) -> bool:
        return reached.vmm_entries > max(reached.kernel_entries, reached.manager_entries, reached.card_entries)

    def moved(move: str) -> Surface:
        return (slim("qemu") if move == "none" else slim("qemu", move)).end.surface

    def unsafe(reached: Surface) -> bool:
        safe = reached.vmm_entries + reached.kernel_entries + reached.manager_entries - reached.c_entries
        return reached.c_entries > safe

    flaws = {"all": 100.0, "exploitable": 100 - FACTS["surface.top100.guest"].value,
             "clouds": FACTS["surface.top100.iaas"].value}  # fmt: skip
    conditions = (
        turn("into_vmm", "described", ARCHITECTURE, "qemu", lambda v: mostly_vmm(surface(v))),
        turn("into_vmm", "qemu_moved", _MOVE, "none", lambda v: mostly_vmm(moved(v))),
        turn("unsafe", "described", ARCHITECTURE, "qemu", lambda v: unsafe(surface(v))),
        turn("half_flaws", "top100", _FLAWS, "all", lambda v: flaws[v] > _MOST),
    )
    qemu, light = surface("qemu"), surface("firecracker")
    sentences = filled(
        "s4", vmm=qemu.vmm_entries, light=light.vmm_entries, kernel=light.kernel_entries, calls=light.system_calls,
        all_calls=qemu.system_calls, devices=qemu.devices, light_devices=light.devices,
        safe=number(flaws["exploitable"]), clouds=number(flaws["clouds"]),
    )  # fmt: skip
    facts = cited("surface.qemu.board.regions", "surface.pci.regions", "firecracker.syscalls", "surface.syscalls.linux",
                  "surface.top100.iaas", "surface.top100.guest", "code.qemu", "code.qemu.hw")  # fmt: skip
    calls = ('cloud.surface("qemu")', 'cloud.surface("firecracker")', 'cloud.slim("qemu", "minimise")')
    return verdict("S4", sentences, conditions, facts, calls)


def s17() -> Verdict:
    """Faster and smaller by trimming: which boots, how much memory, and what a packet notices."""
    found, trimmed = boots(), trimming()
    left_out = Axis("left_out", choices=tuple(thing.id for thing in trimmed.things))
    plain = found["qemu"].alone.value
    conditions = (
        turn("sooner", "one_study", _BOOT, "fc", lambda v: v == "qemu" or found[v].alone.value < plain),
        turn("boots_sooner", "left_out", left_out, "modules", lambda v: trimmed[v].boot),
        turn("smaller", "left_out", left_out, "modules",
             lambda v: (share := trimmed[v].memory_share) is None or share > 0),
        turn("faster", "left_out", left_out, "modules", lambda v: trimmed[v].steady),
    )  # fmt: skip
    sentences = filled(
        "s17", qemu=show(plain, "ms", 4), fc=show(found["fc"].alone.value, "ms", 4),
        microvm=show(found["microvm"].alone.value, "ms", 4), steps=trimmed.kernel_steps,
        packet=show(trimmed.packet_ns, "ns"), barriers=show(trimmed["barriers"].packet_ns, "ns"),
        filter=show(trimmed["filter"].packet_ns, "ns"), memory=show(trimmed["descriptors"].memory_share or 0.0, "%"),
    )  # fmt: skip
    facts = cited(*(alone for alone, _ in BOOTS.values()), "overhead.memory.fc", "whole.filter")
    return verdict("S17", sentences, conditions, facts, ("cloud.boots()", "cloud.trimming()"))


def s22() -> Verdict:
    """15 % of which code, and nothing reserved of what: by lines, by catalogue, and by what the host still does."""
    found, sold = code_shares(), catalogue()
    whole, thing = Axis("code_whole", choices=BASELINES), Axis("code_thing", choices=THINGS)
    cipu = ARCHITECTURES["cipu"]

    def about(part: str, of: str) -> bool:
        return part != of and found[part, of].about(found.wanted)

    def kept(remedy: str) -> float:
        return overhead(taken_away(cipu, remedy), "compute").host_tax

    conditions = (
        turn("fifteen", "firecracker_lines", whole, "code.qemu.x86", lambda v: about("code.firecracker.plain", v)),
        turn("fifteen", "of_all_qemu", thing, "code.qemu.trimmed", lambda v: about(v, "code.qemu")),
        turn("all_sold", "catalogue", _FAMILY, "i4i", lambda v: sold[v].unsold_vcpus == 0),
        turn("little_kept", "cipu_computing", Axis("taken_away", choices=("none", *cipu.remedies)), "none",
             lambda v: kept(v) < _LITTLE),
    )  # fmt: skip
    shares = [pair.share for pair in found.pairs]
    sentences = filled(
        "s22", wanted=show(found.wanted, "%"), matches=len(found.matches), pairs=len(found.pairs),
        low=show(min(shares), "%"), high=show(max(shares), "%"), old=show(sold["i3"].unsold_vcpus, "%"),
        kept=show(kept("none"), "%"), pages=show(overhead(cipu.without("huge_pages"), "compute").host_tax, "%"),
        qemu=show(overhead("qemu", "compute").host_tax, "%"), little=show(_LITTLE, "%"),
        said=words("parameter.architecture.choices")["qingtian"],
    )  # fmt: skip
    facts = cited("article.code", *BASELINES, "code.firecracker.plain", "vendor.nitro.i4i.sold",
                  "vendor.aws.i3.sold", "vendor.qingtian.reserved", "vendor.vmem.sellable")  # fmt: skip
    return verdict("S22", sentences, conditions, facts,
                   ("cloud.code_shares()", "cloud.catalogue()", 'cloud.overhead("cipu", "compute")'))  # fmt: skip
