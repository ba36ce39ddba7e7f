"""How many VMs fit: the closed form, what binds, and when the memory of a VMM matters."""

import math

import pytest
from hypothesis import given, settings

from tests.strategies import settings_of
from virtlab.cloud import density, density_curve, density_of
from virtlab.cloud.density import DensityOptions
from virtlab.core.parameter import ParameterError

MIB, GIB = 1 << 20, 1 << 30
near = pytest.approx
TABLES = 274_432 / (128 * MIB)  # of 128 MiB in pages of 4 KiB: a table for 512 pages, and three above them


@settings(max_examples=25)
@given(settings_of(DensityOptions))
def test_it_is_the_smaller_of_what_cpus_and_memory_allow(o):
    found = density(o)
    cpus = math.floor((o.cores - o.kept_cores) * o.threads_per_core * o.vcpus_per_thread / o.vcpus + 1e-9)
    assert found["cpu"].most == max(0, cpus)
    assert found["memory"].most == o.sellable_bytes // o.each_bytes
    assert found.vms == min(limit.most for limit in found.limits) <= found.without_overhead
    assert found.law()[0] == found.law()[1] and found.free_bytes >= 0


@settings(max_examples=25)
@given(settings_of(DensityOptions))
def test_the_memory_of_a_vmm_matters_only_where_memory_binds(o):
    found = density(o)
    if found["cpu"].most <= found["memory"].most and not o.vf_each:
        assert found.cost_of_overhead == 0


@pytest.mark.parametrize(("memory", "share"), [(8 * GIB, 0.018), (128 * MIB, 1.153)])
def test_what_is_nothing_beside_8_gib_is_more_than_all_of_128_mib(memory, share):
    found = density(memory_bytes=memory)
    assert found.options.overhead_bytes / memory == near(share, rel=2e-3)
    assert found.overhead_share == near(share + TABLES, rel=0.01) or memory > GIB


@settings(max_examples=25)
@given(settings_of(DensityOptions))
def test_a_curve_goes_through_the_points(o):
    sizes = [1 << bits for bits in (24, 27, 33, 42)]
    assert density_curve(sizes, o) == [density(o, memory_bytes=size).vms for size in sizes]


def test_four_of_96_cores_are_4_17_percent():
    whole, kept = (density(cores=96, kept_cores=n, vcpus=1) for n in (0, 4))
    assert 1 - kept["cpu"].most / whole["cpu"].most == near(4 / 96)


def test_threads_and_cores_are_two_things():
    assert density(threads_per_core=2)["cpu"].most == 2 * density(threads_per_core=1)["cpu"].most


def test_a_card_with_few_interrupts_ends_first():
    small = {"memory_bytes": 128 * MIB, "vcpus": 1, "vcpus_per_thread": 16.0, "overhead_bytes": 2_621_440}
    assert density(**small).first.id == "cpu"
    found = density(**small, vf_each=True, vectors=64)
    assert (found.first.id, found.vms) == ("interrupts", 1024)


def test_a_host_brings_its_own_overhead_pages_and_functions():
    assert density_of("firecracker").options.overhead_bytes < density_of("qemu").options.overhead_bytes / 50
    assert density_of("nitro").options.vf_each and density_of("nitro").options.huge_pages


def test_nobody_overcommits_what_nobody_schedules():
    assert density_of("qemu", vcpus_per_thread=4.0).vms > density_of("qemu").vms
    with pytest.raises(ParameterError, match="nobody schedules"):
        density_of("nitro", vcpus_per_thread=4.0)
