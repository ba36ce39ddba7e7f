"""Hosts to schedule: hypothesis strategies of settings that can be."""
from hypothesis import strategies as st

from tests.strategies import settings_of
from virtlab.cpu import ScheduleOptions


@st.composite
def hosts(draw, most_pcpus=64, most_vms=64, most_vcpus=256, **fixed):
    """Any setting with so many pCPUs, VMs and vCPUs at most; ``fixed`` parameters keep the given value."""
    vms = draw(st.integers(1, most_vms))
    pcpus = draw(st.integers(1, most_pcpus))
    sizes = {"vms": vms, "vcpus_per_vm": draw(st.integers(1, min(64, most_vcpus // vms))), "pcpus": pcpus,
             "reserved_pcpus": draw(st.integers(0, min(7, pcpus - 1))),
             "numa_nodes": draw(st.integers(1, min(4, pcpus)))}  # fmt: skip
    return draw(settings_of(ScheduleOptions, **sizes | fixed))
