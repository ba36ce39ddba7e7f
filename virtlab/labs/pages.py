"""The pages lab: 4 KiB over 2 MiB pages on the reader's computer, beside the model and published programs."""

from __future__ import annotations

import functools
from typing import get_args

from virtlab.core.parameter import Parameters, parameter, same
from virtlab.core.units import number, show
from virtlab.core.words import say, words
from virtlab.evidence import FACTS
from virtlab.figures.pages import MEASURED, PagesPicture, PagesResult
from virtlab.labs.measuring import MeasuringLab
from virtlab.machine import Measured, measure_pages, recorded_pages
from virtlab.memory import CPUS, PROGRAMS, Workload, footprint, slowdown
from virtlab.memory.cpus import CpuName
from virtlab.memory.pages import PageSize
from virtlab.memory.slowdown import overlapping

_SIZES = {"ratio_4m": 4 << 20, "ratio_64m": 64 << 20, "ratio_256m": 256 << 20}
_TIMES = {key: (key.replace("ratio", "gather") + "_4k", key.replace("ratio", "gather") + "_2m") for key in _SIZES} | {
    "ratio_touch": ("touch_4k", "touch_2m")
}


class PagesSetting(Parameters):
    """What the model takes the computer for. The measurement does not depend on it."""

    nested_paging: bool = parameter(FACTS["reach.machine.nested"], default=False)
    host_page: PageSize = parameter(FACTS["walk.page"], default="2M")
    accesses_per_instruction: float = same(Workload, "accesses_per_instruction")


def gather_ns(
    size_bytes: int, cpu: CpuName, guest_page: PageSize, host_page: PageSize | None, accesses_per_instruction: float
) -> float:
    """The model's time in ns to take one word from each page in random order; ``host_page`` None is bare metal.

    The reads are those of a chase: each page once a round, one line a page. But NumPy knows all places beforehand, so
    that its loads overlap like independent ones.
    """
    workload = Workload(pattern="uniform", cpu=cpu, accesses_per_instruction=accesses_per_instruction)
    work_ns = workload.cycles_per_instruction / accesses_per_instruction / CPUS[cpu].clock_ghz
    access_ns, walking_ns = _alone(size_bytes, cpu, guest_page, host_page)
    return work_ns + max(access_ns / overlapping(workload), walking_ns / CPUS[cpu].walkers)


@functools.lru_cache(maxsize=128)
def _alone(size_bytes: int, cpu: CpuName, guest_page: PageSize, host_page: PageSize | None) -> tuple[float, float]:
    """Of an access that overlaps with no other: the ns of data and translation, and of its walk alone."""
    run = slowdown(working_set_bytes=size_bytes, pattern="chase", cpu=cpu, guest_page=guest_page,
                   host_page=host_page or "4K")  # fmt: skip
    side = run.native if host_page is None else run.virtual
    walking = sum(read.per_access * read.cycles for read in side.reads[1:]) / CPUS[cpu].clock_ghz
    return side.data_ns + side.translation_ns, walking


@functools.lru_cache(maxsize=256)
def modelled(setting: PagesSetting) -> dict[str, dict[str, float]]:
    """The model's ratios, 4 KiB over 2 MiB pages of the guest, by quantity and CPU."""
    host = setting.host_page if setting.nested_paging else None
    found = {
        key: {
            cpu: gather_ns(size, cpu, "4K", host, setting.accesses_per_instruction)
            / gather_ns(size, cpu, "2M", host, setting.accesses_per_instruction)
            for cpu in get_args(CpuName)
        }
        for key, size in _SIZES.items()
    }
    first = {page: footprint(memory_bytes=64 << 20, host_page=page).first_touch_ns for page in ("4K", "2M")}
    return {**found, "ratio_touch": {"": first["4K"] / first["2M"]}}


def published() -> dict[str, tuple[float, ...]]:
    """Run times in a guest with 4 KiB over huge pages; and what shares of time in walks say of them, if all other time
    stays as it is."""
    times = (FACTS[f"mem.vmitosis.{name}.ll"].value / FACTS[f"mem.vmitosis.{name}.tll"].value
             for name in ("gups", "redis", "xsbench", "canneal"))  # fmt: skip
    shares = ((1 - FACTS[f"mem.sagepte.{name}.thp"].value) / (1 - FACTS[f"mem.sagepte.{name}.4k"].value)
              for name in PROGRAMS)  # fmt: skip
    return {"times": tuple(times), "shares": tuple(shares)}


class _Picture(PagesPicture):
    published = published()


class PagesLab(MeasuringLab):
    """4 KiB against 2 MiB pages. It opens with a recorded measurement; ``measure()`` asks this computer."""

    Setting = PagesSetting
    Picture = _Picture
    visible = ("nested_paging", "host_page")

    button_help, seconds = "pages.button_help", 2.0

    def record(self) -> Measured:
        return recorded_pages()

    def ask(self, seconds: float) -> Measured:
        return measure_pages(seconds)

    def solve(self, setting: PagesSetting) -> PagesResult:
        measured = self.measured
        spans = {key: (q.value, q.low, q.high) if (q := measured[key]).present else None for key in MEASURED}
        times = {}
        for key, names in _TIMES.items():
            small, huge = (measured[name] for name in names)
            if small.present and huge.present:
                times[key] = say("pages.pair", small=show(small.value, "ns"), huge=show(huge.value, "ns"))
        return PagesResult(modelled(setting), spans, times, measured.label(), measured.origin == "now")

    def sentence(self, setting: PagesSetting, result: PagesResult) -> str:
        parts = []
        for key in MEASURED:
            span, ratios = result.machine.get(key), sorted(result.model[key].values())
            here = words("machine.missing") if span is None else say("machine.spread", value=number(span[0]),
                                                                      low=number(span[1]), high=number(span[2]))
            low, high = number(ratios[0]), number(ratios[-1])
            model = low if low == high else say("pages.range", low=low, high=high)
            parts.append(say("pages.part", title=words(f"pages.{key}.title"), here=here, model=model))
        if setting.nested_paging:
            where = say("pages.guest", host=words(f"parameter.host_page.choices.{setting.host_page}"))
        else:
            where = words("pages.bare")
        return say("pages.sentence", label=result.label, where=where, parts="; ".join(parts))

