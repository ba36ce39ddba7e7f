"""The huge-page lab: an access on bare metal and in a guest, for four pairs of pages, and where its time goes."""

from __future__ import annotations

from virtlab.core.parameter import Parameters, parameter, same
from virtlab.core.units import number, show
from virtlab.core.words import say, words
from virtlab.evidence import FACTS
from virtlab.figures.huge_pages import PARTS, HugePagePicture, HugePageResult, Published
from virtlab.labs.base import Lab
from virtlab.memory import CPUS, Workload, slowdown
from virtlab.memory.cpus import CpuName
from virtlab.memory.slowdown import Node, Pattern, Side

_PAGES = ("4K", "2M")
_GUPS_ACCESSES = 2 * FACTS["mem.vmitosis.gups.updates"].value  # two words an update
# Published runs of GUPS by (data, guest's tables, host's tables) on a remote node; the pages are those of the row.
_IN_A_GUEST: dict[tuple[bool, bool, bool], dict[str, str]] = {
    (False, False, False): {"4K.4K": "ll", "2M.2M": "tll"}, (False, False, True): {"4K.4K": "lr"},
    (False, True, False): {"4K.4K": "rl"}, (False, True, True): {"4K.4K": "rr"},
}  # fmt: skip
_BARE: dict[tuple[bool, bool], dict[str, tuple[str, ...]]] = {
    (False, False): {"bare.4K": ("lpld", "rerun"), "bare.2M": ("tlpld",)},
    (False, True): {"bare.4K": ("rpld",), "bare.2M": ("trpld",)},
    (True, False): {"bare.4K": ("lprd",), "bare.2M": ("tlprd",)}, (True, True): {"bare.4K": ("rprd",)},
}  # fmt: skip


class HugePageSetting(Parameters):
    """A program, its CPU, and where data and tables lie."""

    working_set_bytes: int = parameter(FACTS["reach.working_set"], ge=1 << 16, le=1 << 40, log=True)
    pattern: Pattern = same(Workload, "pattern")
    accesses_per_instruction: float = same(Workload, "accesses_per_instruction")
    cpu: CpuName = same(Workload, "cpu")
    data_node: Node = same(Workload, "data_node")
    guest_table_node: Node = same(Workload, "guest_table_node")
    host_table_node: Node = same(Workload, "host_table_node")

    def workload(self) -> Workload:
        """The program, with 4 KiB pages on both sides."""
        return Workload(**self.model_dump())


class HugePageLab(Lab):
    """What huge pages on no, one or both sides make of an access."""

    Setting = HugePageSetting
    Picture = HugePagePicture
    visible = ("working_set_bytes", "pattern", "accesses_per_instruction", "cpu")

    def solve(self, setting: HugePageSetting) -> HugePageResult:
        workload = setting.workload()
        runs = {f"{g}.{h}": slowdown(workload, guest_page=g, host_page=h) for g in _PAGES for h in _PAGES}
        # Bare metal knows no host's page, so two of the four have it alike.
        sides = {"bare.4K": runs["4K.4K"].native, "bare.2M": runs["2M.2M"].native}
        sides |= {row: run.virtual for row, run in runs.items()}
        return HugePageResult(
            parts={row: _parts(side, setting.cpu) for row, side in sides.items()},
            ratio={row: run.ratio for row, run in runs.items()},
            misses={row: side.misses_per_access for row, side in sides.items()},
            walk_cycles={row: side.walk_cycles for row, side in sides.items()},
            published=published(setting),
        )

    def sentence(self, setting: HugePageSetting, result: HugePageResult) -> str:
        small, both = (result.total_ns(row) for row in ("4K.4K", "2M.2M"))
        return say(
            "huge_pages.sentence",
            size=show(setting.working_set_bytes, "B"),
            pattern=words(f"parameter.pattern.choices.{setting.pattern}"),
            cpu=words(f"parameter.cpu.choices.{setting.cpu}"),
            small=show(small, "ns"), small_ratio=number(result.ratio["4K.4K"]),
            host=show(result.total_ns("4K.2M"), "ns"), guest=show(result.total_ns("2M.4K"), "ns"),
            both=show(both, "ns"), both_ratio=number(result.ratio["2M.2M"]), gain=number(small / both),
            published=self._published(result),
        )  # fmt: skip

    def _published(self, result: HugePageResult) -> str:
        rows = words("huge_pages.said")
        parts = [say("huge_pages.witness", row=rows[row.replace(".", "_")], ns=show(p.ns, "ns"))
                 for row, p in result.published.items()]  # fmt: skip
        return say("huge_pages.witnesses", parts="; ".join(parts)) if parts else words("huge_pages.no_witness")


def _parts(side: Side, cpu: CpuName) -> dict[str, float]:
    """What translation adds, shared out by the cycles that TLB, guest's and host's tables take before any overlap."""
    tlb = (side.tlb.l2_hits + side.tlb.walks) / side.tlb.accesses * CPUS[cpu].l2_tlb_cycles
    cycles = {"tlb": tlb, "guest": side.cycles_of("guest"), "host": side.cycles_of("host")}
    all_ = sum(cycles.values())
    found = {"work": side.work_ns, "data": side.data_ns}
    found |= {part: side.translation_ns * c / all_ if all_ else 0.0 for part, c in cycles.items()}
    return {part: max(found[part], 0.0) for part in PARTS}


def published(setting: HugePageSetting) -> dict[str, Published]:
    """What was measured of GUPS (64 GiB at random) where the setting is that of the measurement; else nothing."""
    same = setting.replace(cpu="cascade-lake", data_node="local", guest_table_node="local", host_table_node="local")
    if same != HugePageSetting():
        return {}
    remote = [node == "remote" for node in (setting.data_node, setting.guest_table_node, setting.host_table_node)]
    found: dict[str, Published] = {}
    if setting.cpu == "cascade-lake":
        for row, run in _IN_A_GUEST.get((remote[0], remote[1], remote[2]), {}).items():
            ns = FACTS[f"mem.vmitosis.gups.{run}"].value * 1e9 / _GUPS_ACCESSES
            found[row] = Published(ns, ns, ns)
    elif setting.cpu == "haswell":
        for row, runs in _BARE.get((remote[0], remote[1]), {}).items():
            clock = CPUS["haswell"].clock_ghz
            times = [FACTS[f"mem.mitosis.gups.{run}"].value / clock / _GUPS_ACCESSES for run in runs]
            found[row] = Published(times[0], min(times), max(times))
    return found
