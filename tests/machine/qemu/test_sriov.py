"""Virtual functions of a real QEMU against the arithmetic, and of fake cards that a real one may be or lie like."""
import tomllib
from types import SimpleNamespace

import pytest

from tests.machine.leftovers import nothing_left
from virtlab.core.parameter import ParameterError
from virtlab.machine import functions as module
from virtlab.machine.functions import measure_functions, recorded_functions
from virtlab.machine.owning import MachineError
from virtlab.machine.qemu.ecam import Ecam
from virtlab.machine.qemu.process import Qemu
from virtlab.machine.qemu.sriov import SriovCard, options

WINDOW, PF, PORT = 0xB000_0000, 0x100, 0x08
BARS = {0: 0x4000, 3: 0x4000}


class FakeQtest:
    """Configuration space of a port and a card whose capability is ``values``; VFs answer as PCI Express says."""

    def __init__(self, total=8, offset=0x80, stride=2, bars=BARS, circle=False, sriov=True):
        self.space, self.ports, self.total, self.offset, self.stride = {}, [], total, offset, stride
        self.bars = bars
        self.put(PORT, 0x08, 4, 0x0604_0000)
        self.put(PORT, 0x0E, 1, 1)
        self.put(PORT, 0x34, 1, 0x80)
        self.put(PORT, 0x80, 2, 0x0010)
        self.put(PORT, 0x100, 4, 0x0001_000D)
        self.put(PF, 0x08, 4, 0x0200_0000)
        self.put(PF, 0x100, 4, 0x0001_000E | (0x100 if circle else 0x160) << 20)
        self.put(PF, 0x160, 4, 0x0001_0010 if sriov else 0x0001_0001)
        for at, size, value in ((0x0C, 2, total), (0x0E, 2, total), (0x14, 2, offset), (0x16, 2, stride),
                                (0x1A, 2, 0x10CA), (0x1C, 4, 0x553)):  # fmt: skip
            self.put(PF, 0x160 + at, size, value)

    def put(self, rid, offset, size, value):
        for i in range(size):
            self.space[rid, offset + i] = value >> 8 * i & 0xFF

    def vfs(self):
        on = self.space.get((PF, 0x168), 0) & 1
        number = self.space.get((PF, 0x170), 0) | self.space.get((PF, 0x171), 0) << 8
        return [PF + self.offset + n * self.stride for n in range(number if number <= self.total else 0)] if on else []

    def load(self, address, size):
        rid, offset = divmod(address - WINDOW, 4096)
        if rid in self.vfs():
            known = {(0x34 + 0): 0x70, 0x70: 0x11, 0x72: 2, 0x74: 3}
            return 0xFFFF if offset in (0, 2) else known.get(offset, 0)
        if rid not in (0, PORT, PF):
            return (1 << 8 * size) - 1
        return sum(self.space.get((rid, offset + i), 0) << 8 * i for i in range(size))

    def store(self, address, size, value):
        rid, offset = divmod(address - WINDOW, 4096)
        bar = (offset - 0x184) // 4
        if rid == PF and 0 <= bar < 6:
            bits = ~(self.bars.get(bar, 1 << 32) - 1) & 0xFFFF_FFFF
            value = value & bits | (4 if bar in self.bars else 0)
        self.put(rid, offset, size, value)

    def port_out(self, port, size, value):
        self.ports.append((port, value))


def fake(**values):
    return SimpleNamespace(qtest=FakeQtest(**values))


# --- fakes ------------------------------------------------------------------------------------------------------------


def test_a_fake_82576_has_its_vfs_two_apart_from_function_128_on():
    card = SriovCard(fake())
    seen = card.capability
    assert (seen.total_vfs, seen.vf_offset, seen.vf_stride, seen.vf_device) == (8, 0x80, 2, 0x10CA)
    assert seen.bars == BARS and seen.ari and seen.acs_of_port and not seen.acs_of_card
    assert card.answering() == [PF]
    assert card.enable(8) == 8
    assert card.answering() == [PF, *range(0x180, 0x190, 2)]
    assert card.names(0x180) == (0xFFFF, 0xFFFF) and card.vectors(0x180) == 3
    card.disable()
    assert card.answering() == [PF]


def test_a_fake_card_shows_none_of_more_vfs_than_it_has():
    card = SriovCard(fake())
    card.enable(9)
    assert card.answering() == [PF]


@pytest.mark.parametrize(("lie", "message"), [
    ({"total": 0}, "cannot be"), ({"total": 5000}, "cannot be"), ({"stride": 0}, "cannot be"),
    ({"offset": 0}, "cannot be"), ({"bars": {}}, "cannot be"), ({"bars": {0: 1 << 30}}, "cannot be"),
    ({"total": 1000, "bars": {0: 1 << 24}}, "cannot be"), ({"sriov": False}, "no card with SR-IOV"),
], ids=str)  # fmt: skip
def test_a_fake_card_that_lies_is_refused_in_one_sentence(lie, message):
    with pytest.raises(MachineError, match=message):
        SriovCard(fake(**lie))


def test_a_fake_list_of_capabilities_in_a_circle_is_an_error():
    ecam = Ecam(fake(circle=True))
    with pytest.raises(MachineError, match="circle"):
        ecam.extended(PF, 0x10)


def test_a_fake_bus_without_a_port_has_no_card():
    qemu = fake()
    qemu.qtest.put(PORT, 0x0E, 1, 0)
    with pytest.raises(MachineError, match="no card with SR-IOV"):
        SriovCard(qemu)


@pytest.mark.parametrize("given", [{"vfs": 0}, {"vfs": 128}, {"device": "e1000"}], ids=str)
def test_a_fake_wish_is_refused_before_anything_is_started(given):
    with pytest.raises(ParameterError, match="nvme or igb"):
        measure_functions(**given)


# --- the record -------------------------------------------------------------------------------------------------------


def check(seen):
    """A card does what the arithmetic says."""
    assert seen.answered == seen.expected() and seen.at_first == seen.after == 1
    assert len(seen.answered) == seen.total_vfs + 1
    assert (seen.vendor_in_vf, seen.device_in_vf) == (0xFFFF, 0xFFFF), "PCI Express: read as ones"
    assert seen.found_tables == seen.total_vfs and not seen.outside
    assert seen.model()["mmio"].used == seen.total_vfs * seen.vf_bytes
    assert seen.beyond in (1, -1) or seen.beyond > seen.total_vfs + 1, "none, or a QEMU that does not check"


def test_the_fake_or_true_recording_agrees_with_the_arithmetic():
    kept = recorded_functions()
    check(kept)
    assert kept.total_vfs == 127 and kept.witness.origin == "recorded"
    assert kept.status_before & 2 and not kept.status_after & 2


def test_the_fake_or_true_recording_is_read_as_it_was_written(monkeypatch):
    kept = recorded_functions()
    monkeypatch.setattr(module, "kept_table", lambda name: tomllib.loads(kept.toml()))
    recorded_functions.cache_clear()
    try:
        assert recorded_functions() == kept
    finally:
        recorded_functions.cache_clear()


def test_a_fake_or_true_recording_prints_what_qemu_did_beside_the_rules():
    text = str(recorded_functions())
    assert "0x100, 0x101 … 0x17f" in text and "127 × 16 KiB" in text and "ffff:ffff" in text


# --- a real QEMU ------------------------------------------------------------------------------------------------------


def ask(device, vfs=5):
    try:
        with nothing_left():
            return measure_functions(device, vfs)
    except MachineError as error:
        if "sriov_max_vfs" in str(error):
            pytest.skip(str(error))
        raise


def test_a_real_card_has_its_functions_where_the_arithmetic_says():
    seen = ask("nvme")
    check(seen)
    assert seen.witness.origin == "now" and seen.total_vfs == 5


def test_a_real_network_card_agrees_too_and_a_qemu_without_one_says_so():
    """QEMU has igb since version 8.0."""
    try:
        with nothing_left():
            seen = measure_functions("igb", 5)
    except MachineError as error:
        assert "virtual functions of its igb" in str(error)
    else:
        check(seen)


def test_a_real_vf_is_of_no_use_until_the_physical_function_gives_it_queues():
    seen = ask("nvme", 1)
    assert seen.status_before & 2 and not seen.status_after & 2


def test_a_real_physical_function_cannot_give_more_than_it_has():
    ask("nvme", 1)
    with nothing_left(), Qemu(options("nvme", 2), machine="q35") as qemu:
        card = SriovCard(qemu)
        card.enable(2)
        admin = module.NvmeAdmin(qemu, card.registers)
        with pytest.raises(MachineError, match="refused the command"):
            admin.give(1, 99, 1)


def test_the_admin_queue_of_a_real_card_goes_round():
    ask("nvme", 1)
    with nothing_left(), Qemu(options("nvme", 8), machine="q35") as qemu:
        card = SriovCard(qemu)
        card.enable(8)
        card.tables_found(card.answering()[1:])
        admin = module.NvmeAdmin(qemu, card.registers)
        for vf in range(1, 9):  # 24 commands in a ring of 16
            admin.give(vf, 2, 1)
        assert not any(card.register(vf, 0x1C) & 2 for vf in range(1, 9))


def test_a_qemu_without_such_a_device_says_so_in_one_sentence(monkeypatch):
    monkeypatch.setattr(module, "options", lambda device, vfs: ["-device", "no-such-card"])
    with nothing_left(), pytest.raises(MachineError, match="cannot show the virtual functions"):
        measure_functions()
