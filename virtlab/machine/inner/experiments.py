"""The experiments as data: a few bytes of guest each, the monitor's steps, and what the source of KVM lets us expect.

The steps are those of ``monitor.c``. ``law`` is what each run must count, by reason; it is documentation that the tests
hold against the machine. The reasons are those of AMD's SVM: ``npf`` (nested page fault) is VMX's EPT_VIOLATION or
EPT_MISCONFIG, ``io`` its IO_INSTRUCTION, ``msr`` its MSR_READ or MSR_WRITE.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from virtlab.core.words import words

TIMES = 100  # accesses of a run
PAGES = 512  # pages that a run touches: 2 MiB
HALTS = 20
_PORT, _MMIO = 0x510, 0xF0000  # where no memory and no device is
_US = 1000  # the APIC's timer in KVM counts ns


@dataclass(frozen=True)
class Run:
    """One run of a guest (or one look at its dirty log): what it counts, and of how much work.

    ``steps`` are the monitor's, the last of them gives the counts; ``law`` is what they must be.
    """

    id: str
    unit: str
    work: int
    steps: tuple[str, ...]
    law: Mapping[str, int]
    #: How long KVM polls after each wait, in ns, where the run is about that.
    interval_ns: tuple[int, ...] = ()
    #: Which program carries the frames, where the run sends any.
    carrier: str = ""

    @property
    def title(self) -> str:
        return str(words(f"inner_kvm.run.{self.id}"))


@dataclass(frozen=True)
class Experiment:
    """One VM: the steps that make it, and the runs of its guest."""

    id: str
    setup: tuple[str, ...]
    runs: tuple[Run, ...]
    #: Whether QEMU itself runs in the guest, with KVM.
    qemu: bool = False

    @property
    def title(self) -> str:
        """What it asks."""
        return str(words(f"inner_kvm.experiment.{self.id}"))

    def plan(self) -> str:
        """The steps for the monitor."""
        steps = (step for run in self.runs for step in run.steps)
        return "\n".join((f"experiment {self.id}", *self.setup, *steps, ""))


def _laws(returns: Mapping[str, int], **exits: int) -> dict[str, int]:
    """The law of a run: exits by reason, and returns to user space by KVM's exit reason."""
    return {
        **{f"exits.{reason}": n for reason, n in exits.items()},
        **{f"userspace.{reason}": n for reason, n in returns.items()},
        "userspace_returns": sum(returns.values()),
    }


# --- an access, a hundred times: who handles it ---------------------------------------------------------------------

_SMALL = "memory 0x10000 small"
# 1: out %al,(%dx); dec %cx; jnz 1; hlt
_OUT = "store 0x1000 ee4975fcf4"
# mov $0xf000,%ax; mov %ax,%ds; 1: mov %al,0; dec %cx; jnz 1; hlt
_STORE = "store 0x1000 b800f08ed8a200004975faf4"
# 1: push %cx; cpuid; pop %cx; dec %cx; jnz 1; hlt
_CPUID = "store 0x1000 510fa2594975f9f4"


def _access(name: str, code: str, registers: str, law: Mapping[str, int], *setup: str) -> Experiment:
    run = Run(name, "access", TIMES, (f"run {name} rcx={TIMES} {registers}",), law)
    return Experiment(name, (_SMALL, code, *setup, "vcpu real"), (run,))


# One npf beside the accesses: the first touch of the page with the guest's code. One hlt: its end.
_ACCESSES = (
    _access("pio", _OUT, f"rdx={_PORT:#x}", _laws({"io": TIMES, "hlt": 1}, io=TIMES, npf=1, hlt=1)),
    _access("pio-ioeventfd", _OUT, f"rdx={_PORT:#x}", {**_laws({"hlt": 1}, io=TIMES, npf=1, hlt=1), "signals": TIMES},
            f"ioeventfd pio {_PORT:#x} 1"),
    _access("mmio", _STORE, "", _laws({"mmio": TIMES, "hlt": 1}, npf=TIMES + 1, hlt=1)),
    _access("mmio-ioeventfd", _STORE, "", {**_laws({"hlt": 1}, npf=TIMES + 1, hlt=1), "signals": TIMES},
            f"ioeventfd mmio {_MMIO:#x} 1"),
    _access("cpuid", _CPUID, "rsp=0x1800", _laws({"hlt": 1}, cpuid=TIMES, npf=1, hlt=1)),
)  # fmt: skip


# --- 512 pages touched: nested page faults, huge pages, dirty logging -----------------------------------------------

# 1: mov %eax,(%edi); add $4096,%edi; dec %ecx; jnz 1; hlt
_TOUCH = "store 0x1000 890781c7001000004975f5f4"


def _touch(size: str, backing: str, first: int, after: int) -> Experiment:
    """``first``: the faults of a first touch, the code's own page included; ``after``: those once logging is off."""

    def run(name: str, npf: int, *before: str) -> Run:
        law = _laws({"hlt": 1}, hlt=1, **({"npf": npf} if npf else {}))
        return Run(f"{name}-{size}", "page", PAGES, (*before, f"run {name}-{size} rcx={PAGES} rdi=0x400000"), law)

    return Experiment(
        f"touch-{size}", (f"memory 0x800000 {backing}", _TOUCH, "vcpu flat"),
        (
            run("first", first),
            run("again", 0),
            run("logged", PAGES, "log on"),  # on 2 MiB too: what is logged is mapped in 4 KiB
            run("logged-again", 0),
            Run(f"log-{size}", "page", PAGES, (f"read-log log-{size}",), {"kvm.dirty_pages": PAGES}),
            run("after-log", PAGES),
            run("unlogged", after, "log off"),  # what was 2 MiB is mapped so again, at the next touch
        ),
    )  # fmt: skip


_TOUCHES = (_touch("4k", "small", PAGES + 1, 0), _touch("2m", "huge", 2, 2))


# --- a guest that halts until its APIC's timer fires ----------------------------------------------------------------

#   0: mov $0x80f,%ecx; mov $0x1ff,%eax; xor %edx,%edx; wrmsr     x2APIC on
#  11: mov $0x83e,%ecx; mov $0xb,%eax; wrmsr                      timer: divide by 1
#  1f: mov $0x832,%ecx; mov $0x20,%eax; wrmsr                     timer: one shot, vector 0x20
#  2d: mov $0x838,%ecx
#  33: lodsl; cli; wrmsr; sti; hlt; dec %bp; jnz 33               arm it, halt
#  3d: out %al,$0xf4                                              the end
#  3f: mov $0x80b,%ecx; xor %eax,%eax; wrmsr; mov $0x838,%ecx; iret   the handler: end of interrupt
_HALT = (
    "store 0x1000 66b90f08000066b8ff0100006631d20f30" "66b93e08000066b80b0000000f30" "66b93208000066b8200000000f30"
    "66b938080000" "66adfa0f30fbf44d75f6" "e6f4" "66b90b0800006631c00f3066b938080000cf"
)  # fmt: skip
_VECTOR = "store 0x80 3f100000"  # 0x20 * 4: offset and segment of the handler
_TABLE = 0x2000


def _halt(name: str, ticks_us: Sequence[int], law: Mapping[str, int], *setup: str,
          intervals_us: Sequence[int] = ()) -> Experiment:  # fmt: skip
    table = b"".join((us * _US).to_bytes(4, "little") for us in ticks_us).hex()
    step = f"run {name} rsi={_TABLE:#x} rbp={len(ticks_us)} rsp=0x1f00"
    run = Run(name, "run", 1, (step,), law, tuple(us * _US for us in intervals_us))
    return Experiment(name, (_SMALL, "irqchip", *setup, _HALT, _VECTOR, f"store {_TABLE:#x} {table}", "vcpu real"),
                      (run,))  # fmt: skip


def _halt_law(halts: int, **others: int) -> dict[str, int]:
    """Two writes of an MSR a halt, to arm the timer and to end the interrupt, and three at the start; three pages."""
    return _laws({"io": 1}, msr=2 * halts + 3, npf=3, io=1, **others)


def _poll(name: str, ticks_us: Sequence[int], intervals_us: Sequence[int], enough: int) -> Experiment:
    """``enough``: how many waits end while KVM polls. It polls in each wait before which the interval is not 0."""
    halts = len(ticks_us)
    law = {
        **_halt_law(halts, hlt=halts), "kvm.halt_exits": halts, "kvm.halt_successful_poll": enough,
        "kvm.halt_wakeup": halts - enough,
    }  # fmt: skip
    return _halt(name, ticks_us, law, intervals_us=intervals_us)


# KVM polls before it lets the halted vCPU sleep: not at first, then 10 µs, doubled whenever a wait was longer than that
# and shorter than halt_poll_ns (200 µs), and nothing any more after a longer one (virt/kvm/kvm_main.c, kvm_vcpu_halt).
# Newer kernels (6.12 does) halve it after a longer one instead: their halt_poll_ns_shrink is 2 and not 0. What a guest
# waits is some µs less than what it sets, since the timer runs while exits are handled: no wait here is near an edge.
_HALTING = (
    _halt("hlt-exits", [60] * HALTS, {
        **_halt_law(HALTS, hlt=HALTS), "kvm.halt_exits": HALTS, "kvm.halt_attempted_poll": 0, "kvm.halt_wakeup": HALTS,
    }, "halt-poll 0"),
    # The guest itself halts the processor; the timer's interrupt is then what makes it exit.
    _halt("hlt-in-guest", [60] * HALTS, {
        **_halt_law(HALTS, interrupt=HALTS), "kvm.halt_exits": 0, "kvm.halt_attempted_poll": 0, "kvm.halt_wakeup": 0,
    }, "disable-exits 2"),
    _poll("poll-12us", [12] * 10, [10] * 10, 9),
    _poll("poll-60us", [60] * 10, [10, 20, 40, *[80] * 7], 6),
    _poll("poll-150us", [150] * 10, [10, 20, 40, 80, *[160] * 6], 5),
    _poll("poll-250us", [250] * 10, [0] * 10, 0),
    _poll("poll-mixed", [60] * 6 + [1000] * 6, [10, 20, 40, 80, 80, 80, *[0] * 6], 2),
)  # fmt: skip

# --- the ladder: QEMU itself, with KVM, in the emulated computer ----------------------------------------------------

_MICROVM = (
    "/bin/qemu -nodefaults -no-user-config -display none -accel kvm -cpu host -m 16"
    " -machine microvm,pit=off,pic=off,rtc=off,isa-serial=off,acpi=off -bios /driver"
    " -device isa-debug-exit,iobase=0xf4 -global virtio-mmio.force-legacy=false"
    " -global virtio-mmio.ioeventfd={ioeventfd}"
    " -netdev tap,id=net,ifname=tap0,script=no,downscript=no,vhost={vhost} -device virtio-net-device,netdev=net"
    " -device loader,addr=0x9000,data={batch},data-len=4"
)
FRAMES = 100


def _rung(name: str, ioeventfd: str, vhost: str, carrier: str, batch: int = 1) -> Run:
    """A guest that sends 100 frames with a kick for each ``batch`` (driver.c)."""
    kicks = FRAMES // batch
    returns = {} if ioeventfd == "on" else {"mmio": kicks}
    step = f"program {name} {_MICROVM.format(ioeventfd=ioeventfd, vhost=vhost, batch=batch)}"
    return Run(name, "frame", FRAMES, (step,), _laws(returns, npf=kicks), carrier=carrier)


# The ids are those of the same paths in the model's ladder. The exits are the same 100 on all of them; what goes, rung
# by rung, is the return to QEMU, and QEMU. Only batching makes fewer exits.
_LADDER = Experiment("ladder", (), (
    _rung("qemu", "off", "off", "qemu"),
    _rung("qemu-ioeventfd", "on", "off", "qemu"),
    _rung("vhost-net", "on", "on", "vhost"),
    _rung("vhost-net-batch", "on", "on", "vhost", batch=25),
), qemu=True)  # fmt: skip

#: All of them, by id, in the order in which they run.
EXPERIMENTS: Mapping[str, Experiment] = MappingProxyType({e.id: e for e in (*_ACCESSES, *_TOUCHES, *_HALTING, _LADDER)})
RUNS: Mapping[str, Run] = MappingProxyType({run.id: run for e in EXPERIMENTS.values() for run in e.runs})
