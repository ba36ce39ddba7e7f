"""A real QEMU's IOMMU before a real device: what arrives, which faults are recorded, and the model says the same."""
import subprocess
import tomllib

import numpy as np
import pytest

from tests.machine.leftovers import nothing_left
from virtlab.machine.owning import MachineError
from virtlab.machine.qemu import isolating as module
from virtlab.machine.qemu.edu import Edu
from virtlab.machine.qemu.isolating import ARGUMENTS, TRIALS, measure_iommu, recorded_iommu
from virtlab.machine.qemu.process import PROGRAM, Qemu
from virtlab.machine.qemu.vtd import FaultRecord, Vtd
from virtlab.offload import Domains, Fault

PAGE = 4096
REASONS = {2: "no_context", 5: "not_mapped"}


@pytest.fixture
def devices():
    """Skips, in one sentence, where this QEMU was built without one of the devices."""
    known = subprocess.run([PROGRAM, "-device", "help"], capture_output=True, text=True, check=False).stdout
    for name in ("intel-iommu", "edu"):
        if f'"{name}"' not in known:
            pytest.skip(f"this QEMU has no device {name}")


@pytest.fixture
def behind(devices):
    with Qemu(ARGUMENTS, "q35") as qemu:
        yield qemu, Vtd(qemu), Edu(qemu)


def test_a_card_reaches_what_its_domain_maps_and_what_was_unmapped_but_not_invalidated(devices):
    with nothing_left():
        seen = measure_iommu()
    assert [t.key for t in seen.trials] == list(TRIALS)
    assert [t.key for t in seen.trials if t.arrived] == ["off", "inside", "stale"]
    for trial in seen.trials:
        assert (trial.fault is None) == trial.arrived
        if trial.fault:
            reason = 2 if trial.key == "no_context" else 5
            assert trial.fault == FaultRecord(8, trial.address, False, reason), "who, where, a write, and why"


def test_the_recorded_iommu_is_of_the_same_kind_as_the_one_here(devices):
    now, kept = measure_iommu(), recorded_iommu()
    assert [(t.key, t.arrived) for t in now.trials] == [(t.key, t.arrived) for t in kept.trials]
    assert now.capabilities.queued_invalidation and kept.capabilities.page_shifts == (12, 21, 30)


def test_a_fake_or_true_recording_is_read_as_it_was_written(monkeypatch):
    kept = recorded_iommu()
    monkeypatch.setattr(module, "kept_table", lambda name: tomllib.loads(kept.toml()))
    recorded_iommu.cache_clear()
    try:
        assert recorded_iommu() == kept
    finally:
        recorded_iommu.cache_clear()
    assert "4 of 7 writes did not arrive" in kept.sentence()


def test_the_model_does_with_random_maps_and_unmaps_what_the_real_iommu_does(behind):
    qemu, vtd, card = behind
    rng = np.random.default_rng(24)
    frames = [qemu.arena.take(PAGE, PAGE) for _ in range(3)]
    source = qemu.arena.take(PAGE, PAGE)
    model = Domains(strict=False, flush_entries=100)
    model.attach("card", "domain")
    vtd.attach(card.slot)
    qemu.memory.write(source, b"\x5a" * 64)
    card.take(source)
    vtd.enable()
    outcomes = set()
    for _ in range(24):
        iova = int(rng.integers(2)) * PAGE + 0x10_0000
        mapped = iova // PAGE in model.table("domain")
        what = rng.choice(["dma", "toggle", "flush"], p=[0.6, 0.3, 0.1])
        if what == "toggle" and mapped:
            model.unmap("domain", iova)
            vtd.unmap(iova)
        elif what == "toggle" and ("domain", iova // PAGE) not in model._waiting:
            frame = frames[int(rng.integers(3))]
            model.map("domain", iova, frame)
            vtd.map(iova, frame)
        elif what == "flush":
            waiting = [page for _, page in model._waiting]
            model.flush()
            for page in waiting:
                vtd.invalidate(page * PAGE)
        elif what == "dma":
            for frame in frames:
                qemu.memory.write(frame, bytes(64))
            card.put(iova)
            reached = [f for f in frames if qemu.memory.read(f, 64) == b"\x5a" * 64]
            faults = vtd.faults()
            said = model.dma("card", iova, write=True)
            if isinstance(said, Fault):
                assert reached == [] and [REASONS[f.reason] for f in faults] == [said.reason]
                assert faults[0].address == iova
            else:
                assert reached == [said] and faults == []
            outcomes.add((isinstance(said, Fault), bool(model.stale()) and ("domain", iova) in model.stale()))
    assert outcomes == {(True, False), (False, False), (False, True)}, "refused, arrived, and arrived though unmapped"


def test_a_2_mib_leaf_is_not_offered_for_nothing(behind):
    """SLLPS says 2 MiB: one entry of the second level then maps 512 pages."""
    qemu, vtd, card = behind
    assert 21 in vtd.capabilities.page_shifts
    vtd.attach(card.slot)
    vtd.map(0, 0)
    second = vtd._get(vtd._pages) & -PAGE
    vtd._set(second + 8, 4 << 20 | 1 << 7 | 3)  # IOVA 2 MiB to 4 MiB of memory
    qemu.memory.write(6 << 20, b"\x33" * 64)
    card.take(6 << 20)
    vtd.enable()
    qemu.memory.write(5 << 20, bytes(64))
    card.put(3 << 20)
    assert qemu.memory.read(5 << 20, 64) == b"\x33" * 64 and vtd.faults() == []


def test_a_machine_without_an_iommu_or_a_card_says_so_and_leaves_nothing(devices):
    with nothing_left():
        for arguments, kind in ((ARGUMENTS[2:], Vtd), (ARGUMENTS[:2], Edu)):
            with Qemu(arguments, "q35") as qemu, pytest.raises(MachineError):
                kind(qemu)


def test_a_dma_of_this_card_has_1_to_4096_bytes(behind):
    with pytest.raises(ValueError, match="1 to 4096 bytes; you gave 4097"):
        behind[2].put(0, 4097)


class FakeQemu:
    """Registers that a broken or hostile IOMMU could show."""

    def __init__(self, cap, ecap):
        self.cap, self.ecap = cap, ecap
        self.qtest = self.memory = self
        self.arena = self

    def take(self, size, align=16):
        return 0x100000

    def load(self, address, size):
        return {0x08: self.cap, 0x10: self.ecap}[address & 0xFF]


@pytest.mark.parametrize("cap, ecap", [
    (0, 0), ((1 << 64) - 1, 0xF00F), (0x3FF << 24 | 0x200, 0xF00F), (0x22 << 24 | 0x200 | 0xFF << 40, 0xF00F),
    (0x22 << 24 | 0x200, 0x3FF << 8), (0x22 << 24, 0xF00F),
])  # fmt: skip
def test_a_fake_iommu_whose_registers_lie_elsewhere_is_refused(cap, ecap):
    with pytest.raises(MachineError):
        Vtd(FakeQemu(cap, ecap))
