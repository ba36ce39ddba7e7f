"""What a guest reaches: counted in small maps by hand, in hostile ones, and on the machines of a real QEMU."""
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.machine.leftovers import nothing_left
from virtlab.core.parameter import ParameterError
from virtlab.machine.owning import MachineError
from virtlab.machine.qemu import surface as module
from virtlab.machine.qemu.monitor import Monitor
from virtlab.machine.qemu.surface import CASES, devices, measure_surface, reachable, recorded_surface

MAP = """FlatView #0
 AS "cpu-smm-0", root: memory
 Root memory region: memory
  0000000000000000-00000000000000ff (prio 0, i/o): hidden

FlatView #1
 AS "I/O", root: io
 Root memory region: io
  0000000000000000-0000000000000007 (prio 0, i/o): dma-chan
  0000000000000008-000000000000001f (prio 0, i/o): io @0000000000000008
  0000000000000020-0000000000000021 (prio 0, i/o): pic @0000000000000020

FlatView #2
 AS "e1000", root: bus master container
 Root memory region: (none)
  No rendered FlatView

FlatView #3
 AS "memory", root: system
 AS "cpu-memory-0", root: system
 Root memory region: system
  0000000000000000-0000000003ffffff (prio 0, ram): pc.ram
  00000000fec00000-00000000fec00fff (prio 0, i/o): ioapic
  00000000fee00000-00000000feefffff (prio 4096, i/o): apic-msi
  00000000fffc0000-00000000ffffffff (prio 0, rom): pc.bios
"""


def test_a_fake_map_is_counted_without_ram_rom_holes_and_what_the_guest_does_not_see():
    assert reachable(MAP) == {"port_ranges": 2, "ports": 10, "address_ranges": 2, "address_bytes": 0x101000}


@pytest.mark.parametrize("lie", [
    "", "FlatView #0\n", MAP.replace('"I/O"', '"O/I"'), MAP.replace("-0000000000000007", "-000000000000000g"),
    MAP.replace("0000000000000020-0000000000000021", "0000000000000021-0000000000000020"),
    MAP.replace("ioapic", "x" * 300), MAP + "\n" * 30_000,
], ids=range(7))  # fmt: skip
def test_a_fake_map_that_cannot_be_is_refused(lie):
    with pytest.raises(MachineError, match="something else"):
        reachable(lie)


@settings(max_examples=40)
@given(st.lists(st.one_of(st.sampled_from(MAP.splitlines()), st.text(max_size=60)), max_size=30))
def test_a_fake_map_of_any_lines_is_counted_or_refused(lines):
    try:
        found = reachable("\n".join(lines))
    except MachineError:
        return
    assert all(value >= 0 for value in found.values())


def test_a_fake_tree_has_the_devices_that_it_names():
    assert devices('bus: main\n  dev: ioapic, id ""\n    name = "dev: x"\n  dev: hpet, id ""\n') == 2


@pytest.mark.parametrize("buses", [None, 7, [{}], [{"devices": [{"regions": [{}]}]}]], ids=str)
def test_a_fake_answer_about_pci_that_is_none_is_refused(buses):
    with pytest.raises(MachineError, match="something else"):
        module._addressed(buses)


def test_a_fake_firmware_that_never_settles_is_not_waited_for_longer():
    from itertools import count
    from types import SimpleNamespace

    numbers = count()
    monitor = SimpleNamespace(tell=lambda line: str(next(numbers)), ask=lambda command: [])
    with pytest.raises(MachineError, match="in time"):
        module._settled(monitor, module.time.monotonic() + 0.3)


@pytest.mark.parametrize("seconds", [0.5, 601, float("nan")])
def test_a_fake_time_out_of_range_is_said_before_anything_starts(seconds):
    with pytest.raises(ParameterError, match="seconds must be 1 to 600"):
        measure_surface(seconds)


def test_the_fake_or_true_recording_has_every_machine_and_less_on_a_smaller_one():
    kept = recorded_surface()
    check(kept)
    assert kept.witness.origin == "recorded" and str(kept["microvm", "ports"]) in str(kept)


# --- a real QEMU ------------------------------------------------------------------------------------------------------


def check(seen):
    """Whatever its version: nothing on machine none, and less on each smaller machine; the program is the same."""
    assert seen.complete and list(seen.cases) == list(CASES)
    assert seen["none", "port_ranges"] == seen["none", "address_ranges"] == seen["none", "devices"] == 0
    for larger, smaller in (("pc", "pc_bare"), ("pc_bare", "microvm"), ("microvm", "microvm_bare")):
        assert seen[larger, "ports"] > seen[smaller, "ports"]
    for name in ("port_ranges", "address_ranges", "address_bytes", "devices"):
        assert seen["pc", name] > seen["pc_bare", name] and seen["microvm", name] > seen["microvm_bare", name]
    assert len({(seen[case, "types"], seen[case, "creatable"]) for case in CASES}) == 1
    assert 0 < seen["none", "creatable"] < seen["none", "types"]


def test_a_real_qemu_shows_less_on_a_smaller_machine():
    with nothing_left():
        check(measure_surface())


def test_a_device_more_on_a_real_machine_is_its_registers_more():
    """QEMU's edu has one BAR, of 1 MiB."""
    plain = module._look(CASES["pc_bare"], 20)
    more = module._look([*CASES["pc_bare"], "-device", "edu"], 20)
    assert {name: more[name] - plain[name] for name in plain if more[name] != plain[name]} == {
        "address_ranges": 1, "address_bytes": 1 << 20, "devices": 1}


def test_a_machine_that_the_real_qemu_lacks_is_missing_with_its_reason_and_the_rest_is_there(monkeypatch):
    broken = {"microvm": ("-machine", "microvm", "-device", "no-such"), "none": CASES["none"]}
    monkeypatch.setattr(module, "CASES", broken)
    with nothing_left():
        seen = measure_surface()
    assert not seen.complete and list(seen.cases) == ["none"] and "no-such" in seen.missing["microvm"]
    assert "microvm, one virtio device: missing." in str(seen) and "missing" in seen._repr_html_()
    with pytest.raises(KeyError, match="no-such"):
        seen["microvm", "ports"]
    with pytest.raises(ValueError, match="no-such"):
        seen.toml()


def test_an_interrupt_while_a_real_qemu_is_asked_leaves_nothing(monkeypatch):
    def interrupt(self, line):
        raise KeyboardInterrupt

    monkeypatch.setattr(Monitor, "tell", interrupt)
    with nothing_left(), pytest.raises(KeyboardInterrupt):
        measure_surface()
