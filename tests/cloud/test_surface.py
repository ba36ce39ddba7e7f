"""What a guest can reach is a vector: it follows from places, moves with them, and has no total."""

import numbers
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.strategies import settings_of
from virtlab.cloud import ARCHITECTURES, Host, Surface, surface
from virtlab.evidence import FACTS

VECTORS = st.builds(Surface, *[st.integers(0, 3)] * 7)
QEMU, LIGHT = surface("qemu"), surface("firecracker")


def test_the_baseline_has_the_regions_that_were_counted_twice_and_what_the_guest_fills():
    regions = 40 + 18 + 7 + 7  # board, console, two devices
    assert QEMU.vmm_entries == 2 * regions + 4  # read and written; three queues of a NIC and one of a disk
    assert QEMU.kernel_entries == 2 * 8 + 2  # interrupt chips; switch and policy look into packets
    assert QEMU.system_calls == FACTS["surface.syscalls.linux"].value


def test_a_light_monitor_keeps_two_layers_and_a_process_and_is_smaller_everywhere():
    assert ARCHITECTURES["firecracker"].host.device_model_place == "vmm"
    assert LIGHT.compare(QEMU) == "smaller" and LIGHT.vmm_entries > 0 and LIGHT.kernel_entries == QEMU.kernel_entries


def test_a_device_in_the_kernel_leaves_its_registers_with_the_process_and_takes_its_queue():
    vhost = surface(Host(device_model_place="kernel"))
    assert (vhost.vmm_entries - QEMU.vmm_entries, vhost.kernel_entries - QEMU.kernel_entries) == (-5, 5)
    assert vhost.compare(QEMU) == "incomparable" and vhost.c_entries == QEMU.c_entries


def test_an_assigned_function_leaves_what_traps():
    card = surface(Host(device_model_place="card"))
    assert QEMU.vmm_entries - card.vmm_entries == 2 * (7 - 2) + 3 and card.card_entries == 2 * 4 + 3


def test_a_split_device_leaves_its_front_end():
    split = surface(Host(device_model_place="split", storage_place="card"))
    assert QEMU.vmm_entries - split.vmm_entries == 2 * 2 + 4 and split.card_entries == 2 * 2 + 4


def test_interrupt_chips_in_the_process_are_the_processs():
    assert surface(Host(interrupts_place="vmm")).vmm_entries - QEMU.vmm_entries == 2 * 8


@settings(max_examples=25)
@given(settings_of(Host))
def test_what_the_guest_fills_leads_somewhere_wherever_the_duties_are(host):
    found = surface(host)
    entries = found.vmm_entries + found.kernel_entries + found.manager_entries + found.card_entries
    packets = 2 - (host.policy_place == "nobody")
    assert (entries - 4 - packets) % 2 == 0, "regions are read and written; queues and packets are what is left"
    assert found.c_entries <= found.vmm_entries + found.kernel_entries + found.manager_entries
    assert min(found.components().values()) >= 0


@given(VECTORS, VECTORS, VECTORS)
def test_the_order_is_partial(a, b, c):
    assert a <= a
    assert not (a <= b and b <= a) or a == b
    assert not (a <= b and b <= c) or a <= c
    assert (a <= b) == (b >= a)


def test_two_can_be_incomparable():
    less, more = replace(QEMU, devices=QEMU.devices - 1), replace(QEMU, devices=QEMU.devices + 1)
    assert (QEMU.compare(QEMU), less.compare(QEMU), more.compare(QEMU)) == ("same", "smaller", "larger")
    assert replace(less, card_entries=9).compare(QEMU) == "incomparable"


def test_there_is_no_total():
    """Guard 58: nothing makes one number of a vector, nor sorts vectors in a row."""
    assert not isinstance(QEMU, numbers.Number)
    for make in (float, int, abs, sum, len, min, max, sorted):
        with pytest.raises(TypeError):
            make((QEMU, LIGHT)) if make in (sum, min, max, sorted) else make(QEMU)
    public = {name for name in dir(QEMU) if not name.startswith("_")}
    assert public == {*QEMU.components(), "components", "compare", "sentence", "table"}
