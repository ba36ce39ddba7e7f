"""The program lab: seven programs in a guest whose time in nested walks was published, beside the model."""

from __future__ import annotations

import functools

from virtlab.core.parameter import Parameters, parameter, same
from virtlab.core.units import number, show
from virtlab.core.words import say, words
from virtlab.evidence import FACTS
from virtlab.figures.programs import ProgramsPicture, ProgramsResult
from virtlab.labs.base import Lab
from virtlab.memory import PROGRAMS, program
from virtlab.memory.pages import PageSize
from virtlab.memory.slowdown import Node, Workload

SMALL = {name: FACTS[f"mem.sagepte.{name}.4k"].value for name in PROGRAMS}
HUGE = {name: FACTS[f"mem.sagepte.{name}.thp"].value for name in PROGRAMS}


class ProgramsSetting(Parameters):
    """The pages that the model gives the programs, and where their tables lie."""

    guest_page: PageSize = parameter(FACTS["walk.page"], default="2M")
    host_page: PageSize = parameter(FACTS["walk.page"], default="2M")
    guest_table_node: Node = same(Workload, "guest_table_node")
    host_table_node: Node = same(Workload, "host_table_node")


class _Picture(ProgramsPicture):
    programs = tuple(sorted(PROGRAMS, key=lambda name: -SMALL[name]))
    small, huge = SMALL, HUGE


class ProgramsLab(Lab):
    """What whole programs spend on nested walks, published and modelled."""

    Setting = ProgramsSetting
    Picture = _Picture
    visible = ("guest_page", "host_page", "guest_table_node", "host_table_node")

    def solve(self, setting: ProgramsSetting) -> ProgramsResult:
        shares = {name: _share(name, setting) for name in _Picture.programs}
        choices = words("parameter.guest_page.choices")
        pages = say("programs.pages", guest=choices[setting.guest_page], host=choices[setting.host_page])
        return ProgramsResult(SMALL, HUGE, shares, pages)

    def sentence(self, setting: ProgramsSetting, result: ProgramsResult) -> str:
        parts = [
            say("programs.part", name=words(f"programs.name.{name}"), model=show(result.model[name], "%"),
                huge=show(result.huge[name], "%"))
            for name in _Picture.programs
        ]  # fmt: skip
        factors = [result.huge[name] / result.model[name] for name in _Picture.programs if result.model[name]]
        same = (setting.guest_page, setting.host_page) == ("2M", "2M") and setting == ProgramsSetting()
        verdict = say("programs.too_small", least=number(min(factors)), most=number(max(factors))) if same else ""
        inferred = setting == ProgramsSetting(guest_page="4K", host_page="4K")
        return say("programs.sentence", pages=result.pages, parts="; ".join(parts),
                   verdict=words("programs.inferred") if inferred else verdict).rstrip()  # fmt: skip


@functools.lru_cache(maxsize=512)  # seven programs, nine pairs of pages, four places of tables
def _share(name: str, setting: ProgramsSetting) -> float:
    return program(name, **setting.model_dump()).virtual.walk_share
