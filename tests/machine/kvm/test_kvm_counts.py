"""The experiments count exactly: what returns to user space, what KVM handles itself, and that no access is lost."""
import pytest

from virtlab.core.parameter import ParameterError
from virtlab.machine.kvm import PROGRAMS, count
from virtlab.machine.kvm.experiments import EXPERIMENTS
from virtlab.machine.owning import MachineError

N = 60
END = {"userspace_returns": 1, "userspace.io": 1}  # the guest's last write, which ends it
EXACT = {
    "pio": {"userspace_returns": N, "userspace.io": N},
    "pio_read": {"userspace_returns": N, "userspace.io": N},
    "mmio": {"userspace_returns": N, "userspace.mmio": N},
    "mmio_read": {"userspace_returns": N, "userspace.mmio": N},
    "ioeventfd_pio": END | {"signals": N},
    "ioeventfd_mmio": END | {"signals": N},
    "coalesced_pio": END | {"coalesced": N},
    "coalesced_mmio": END | {"coalesced": N},
    "in_kernel": END,
    "cpuid": END,
    "hlt": {"userspace_returns": N, "userspace.hlt": N},
    "loop": END,
    "loop_ring0": END,
    "irqfd": {"userspace_returns": N, "userspace.io": N, "signals": N, "calls": N},
}
# What KVM itself counts under kvm_pvm: exits less those of the host's interrupts, and emulated instructions.
PVM = {
    "pio": (N, N), "pio_read": (N, N), "mmio": (N, N), "mmio_read": (N, N), "ioeventfd_pio": (N + 1, N + 1),
    "ioeventfd_mmio": (N + 1, N + 1), "coalesced_pio": (N + 1, N + 1), "coalesced_mmio": (N + 1, N + 1),
    "in_kernel": (N + 1, N + 1), "cpuid": (1, 1), "loop": (1, 1),
}  # fmt: skip


def without_kvms_own(counts):
    return {key: n for key, n in counts.values.items() if not key.startswith("kvm.") or key == "coalesced"}


@pytest.mark.machine
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_counts_exactly(name):
    counts = count(name, N)
    assert without_kvms_own(counts) == EXACT[name]
    assert counts.work == N and counts.title


@pytest.mark.machine
@pytest.mark.parametrize("name", PVM)
def test_kvms_own_counters_agree(here, name):
    values = count(name, N).values
    if "kvm_pvm" not in here.modules or "kvm.exits" not in values:
        pytest.skip("these are the counters of kvm_pvm on Linux 5.14 or newer")
    exits, emulated = PVM[name]
    assert values["kvm.exits"] - values.get("kvm.irq_exits", 0) == exits
    assert values["kvm.insn_emulation"] == emulated


@pytest.mark.machine
def test_plain_code_of_ring_0_is_emulated_by_software_kvm_alone(here):
    emulated = count("loop_ring0", N).values.get("kvm.insn_emulation")
    if emulated is None:
        pytest.skip("this Linux tells no statistics")
    assert (emulated >= 3 * N) is (here.name == "software")


@pytest.mark.machine
@pytest.mark.parametrize(("accesses", "returns", "waited"), [
    (169, 1, 169), (170, 2, 169), (171, 2, 170), (400, 3, 398),
])
def test_a_full_ring_of_coalesced_accesses_lets_one_through(accesses, returns, waited):
    counts = count("coalesced_mmio", accesses)
    assert (counts["userspace_returns"], counts["coalesced"]) == (returns, waited)


@pytest.mark.machine
def test_one_access_and_the_same_counts_twice():
    assert without_kvms_own(count("pio", 1)) == {"userspace_returns": 1, "userspace.io": 1}
    first, second = (without_kvms_own(count("irqfd", 7)) for _ in range(2))
    assert first == second


@pytest.mark.machine
def test_counts_of_one_unit_stand_in_one_table():
    assert "ioeventfd" in str(count("ioeventfd_pio", 3)) and count("pio", 8).per_unit("userspace.io") == 1


@pytest.mark.machine
def test_an_experiment_that_takes_too_long_is_left():
    with pytest.raises(MachineError, match="time limit"):
        count("pio", 20_000, seconds=0.01)


@pytest.mark.machine
def test_an_access_that_is_lost_is_noticed(monkeypatch):
    monkeypatch.setattr("virtlab.machine.kvm.guest.TinyGuest.signals", lambda guest, fd: 3)
    with pytest.raises(MachineError, match="3 of 4 accesses"):
        count("ioeventfd_pio", 4)


@pytest.mark.parametrize(("arguments", "message"), [
    (("piO",), "there are pio, pio_read"), (("pio", 0), "accesses must be 1 to 20,000; you gave 0"),
    (("pio", 20_001), "only takes longer"),
])
def test_an_argument_out_of_range_is_explained(arguments, message):
    with pytest.raises(ParameterError, match=message):
        count(*arguments)


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_prints_each_instruction_beside_its_code(name):
    program = PROGRAMS[name]
    listing = str(program).splitlines()
    assert len(listing) == len(program.lines)
    assert bytes.fromhex("".join(code for code, _ in program.lines)) == program.code


@pytest.mark.parametrize("name", [name for name, program in PROGRAMS.items() if "jnz" in str(program)])
def test_a_loop_jumps_back_to_its_first_instruction(name):
    code = PROGRAMS[name].code
    jump = code.index(b"\x75")
    assert jump + 2 + int.from_bytes(code[jump + 1 : jump + 2], "little", signed=True) == 0
