"""One VM with one vCPU and 2 MiB of memory, which runs a few bytes of code."""

from __future__ import annotations

import ctypes
import errno
import itertools
import mmap
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import perf_counter_ns as now

from virtlab.core.parameter import ParameterError
from virtlab.core.words import say
from virtlab.machine.kvm import abi, exits, libc, modes, watchdog
from virtlab.machine.kvm.coalesced import Access, Ring
from virtlab.machine.kvm.exits import Exit
from virtlab.machine.kvm.opening import DEVICE, capability, open_kvm, sentence
from virtlab.machine.kvm.stats import Statistics
from virtlab.machine.kvm.turn import Turn
from virtlab.machine.owning import MachineError, Owner, descriptor

MEMORY_BYTES = 2 << 20
CODE_BYTES = modes.STACK // 2 - modes.CODE  # the stack grows down to the code, so half of what lies between
_TSS = 0x7000_0000  # three pages that old Intel CPUs need; fcntl takes a signed int, hence below 2 GiB
_PORTS, _HIGHEST = 1 << 16, 1 << 52  # ends of the two address spaces of devices
_GSIS = 24  # lines of the in-kernel interrupt controllers
_LONGEST_SECONDS = 60.0


class Stuck(MachineError):
    """The guest did not come back within the time limit. It can be run on."""


class TinyGuest(Owner):
    """A VM to count exits with. Use it as a context manager: its end closes all descriptors and mappings, and a run in
    another thread ends first.

    ``code`` is machine code, at most 12 KiB, that starts at 0x1000 in ``mode``: "user" (64 bits, ring 3, with the right
    to use ports: the one mode that both kinds of KVM run on the CPU itself), "long" (64 bits, ring 0), "protected" (32
    bits) or "real" (16 bits). ``irqchip`` puts the interrupt controllers into the kernel: irqfd needs it, and HLT then
    sleeps there instead of coming back. Raises MachineError when there is no usable KVM, and ParameterError for
    arguments out of range.
    """

    def __init__(self, code: bytes, mode: str = "user", *, irqchip: bool = False, device: Path = DEVICE) -> None:
        super().__init__()
        if mode not in modes.MODES:
            raise ParameterError(say("kvm.argument.mode", given=repr(mode), known=", ".join(modes.MODES)))
        if not 0 < len(code) <= CODE_BYTES:
            raise ParameterError(say("kvm.argument.code", given=len(code), most=f"{CODE_BYTES:,}"))
        self.mode, self.irqchip = mode, irqchip
        self._turn = Turn()
        with self._opening() as held:
            self._kvm = open_kvm(held, device)
            try:
                self._create(held)
                modes.page_tables(modes.MODES[mode], self.write)
                self.write(modes.CODE, code)
                self._start_state()
            except OSError as error:
                raise MachineError(sentence(error, device)) from error

    def _create(self, held: ExitStack) -> None:
        self._vm = descriptor(held, abi.ioctl(self._kvm, abi.KVM_CREATE_VM, 0))
        abi.ioctl(self._vm, abi.KVM_SET_TSS_ADDR, _TSS)
        if self.irqchip:
            self._need(abi.KVM_CAP_IRQCHIP, "KVM_CAP_IRQCHIP")
            abi.ioctl(self._vm, abi.KVM_CREATE_IRQCHIP, 0)
        self._memory = mmap.mmap(-1, MEMORY_BYTES)
        held.callback(self._memory.close)
        # The address outlives this export of the buffer, because nothing but `held` unmaps it.
        address = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        region = abi.MEMORY_REGION.pack(0, 0, 0, MEMORY_BYTES, address)
        abi.ioctl(self._vm, abi.KVM_SET_USER_MEMORY_REGION, region)
        self._vcpu = descriptor(held, abi.ioctl(self._vm, abi.KVM_CREATE_VCPU, 0))
        self._shared = mmap.mmap(self._vcpu, abi.ioctl(self._kvm, abi.KVM_GET_VCPU_MMAP_SIZE, 0))
        held.callback(self._shared.close)
        self._statistics: Statistics | None = None
        if capability(self._kvm, abi.KVM_CAP_BINARY_STATS_FD):
            self._statistics = Statistics(descriptor(held, abi.ioctl(self._vcpu, abi.KVM_GET_STATS_FD, 0)))
        self._ring: Ring | None = None
        held.callback(self._turn.stop)  # the first that closing does

    def _start_state(self) -> None:
        # Long mode and CPUID itself want a CPU that says what it is: all that this KVM offers.
        cpuid = bytearray(8 + abi.CPUID_ENTRIES * abi.CPUID_ENTRY_SIZE)
        cpuid[:4] = abi.CPUID_ENTRIES.to_bytes(4, "little")
        abi.ioctl(self._kvm, abi.KVM_GET_SUPPORTED_CPUID, cpuid)
        abi.ioctl(self._vcpu, abi.KVM_SET_CPUID2, cpuid)
        reset = bytearray(abi.SREGS_SIZE)
        abi.ioctl(self._vcpu, abi.KVM_GET_SREGS, reset)
        abi.ioctl(self._vcpu, abi.KVM_SET_SREGS, modes.special_registers(modes.MODES[self.mode], bytes(reset)))
        self.set_registers()

    # --- memory and registers -----------------------------------------------------------------------------------------

    def read(self, address: int, size: int) -> bytes:
        """``size`` bytes of the guest's memory. Raises ParameterError outside its 2 MiB."""
        self._inside(address, size)
        return self._memory[address : address + size]

    def write(self, address: int, data: bytes) -> None:
        """Writes into the guest's memory. Raises ParameterError outside its 2 MiB."""
        self._inside(address, len(data))
        self._memory[address : address + len(data)] = data

    def set_registers(self, **values: int) -> None:
        """Sets all general registers: those not named become 0, ``rip`` the start, ``rsp`` the stack, ``rflags`` usual.

        Raises ParameterError for a name or value that no register has.
        """
        self._open()
        usual = {"rip": modes.CODE, "rsp": modes.STACK, "rflags": modes.MODES[self.mode].rflags}
        registers = dict.fromkeys(abi.REGISTER_NAMES, 0) | usual | values
        for name, value in values.items():
            if name not in abi.REGISTER_NAMES or not 0 <= value < 1 << 64:
                raise ParameterError(say("kvm.argument.register", name=name, value=value,
                                         known=", ".join(abi.REGISTER_NAMES)))  # fmt: skip
        self._ask(self._vcpu, abi.KVM_SET_REGS, abi.REGISTERS.pack(*registers.values()))

    def registers(self) -> dict[str, int]:
        """All general registers by name. After an exit for an access, KVM may complete it only in the next run."""
        self._open()
        got = bytearray(abi.REGISTERS.size)
        self._ask(self._vcpu, abi.KVM_GET_REGS, got)
        return dict(zip(abi.REGISTER_NAMES, abi.REGISTERS.unpack(got), strict=True))

    # --- running ------------------------------------------------------------------------------------------------------

    def run(self, seconds: float = 5.0, times: int = 1) -> Exit:
        """Enters the guest until it has come back ``times`` times; returns the last return, with the ns of all.

        Works in every thread; Ctrl-C ends it within some 50 ms. Raises Stuck when ``seconds`` (at most 60) are over,
        and MachineError when the guest cannot go on.
        """
        if times < 1:
            raise ParameterError(say("kvm.argument.times", given=times))
        self._open()
        with self._turn.take(), self._time_limit(seconds) as end:
            return self._enter(times, end)

    def serve(self, handle: Callable[[Exit], bool], seconds: float = 5.0) -> Exit:
        """Enters the guest again and again, and calls ``handle`` with each return until it says True; returns the last.

        ``handle`` is what a device of user space is: it may look at the access and :meth:`answer` a read. ``seconds``
        are for all of it. Raises as :meth:`run` does.
        """
        self._open()
        with self._turn.take(), self._time_limit(seconds) as end:
            for done in itertools.count(1):
                last = self._enter(1, end, done - 1)
                if handle(last):
                    return last
                self._open()  # ``handle`` may have closed it
                if now() >= end:  # ticks may all come while ``handle`` works
                    raise Stuck(say("kvm.stuck", done=done))
        raise AssertionError("counting has no end")

    def _enter(self, times: int, end: int, done: int = 0) -> Exit:
        """KVM_RUN until it has come back ``times`` times, or the clock (ns) is at ``end``; ``done`` came before."""
        enter, vcpu, request, left = libc.plain_ioctl(), self._vcpu, abi.KVM_RUN, times
        start = now()
        while left:
            if enter(vcpu, request, 0) == 0:
                left -= 1
                continue
            error = libc.error("KVM_RUN")
            self._turn.check()  # another thread may be closing it
            if error.errno != errno.EINTR:
                raise MachineError(say("kvm.why.failed", device="KVM_RUN", error=error.strerror))
            watchdog.drain()
            if now() >= end:
                raise Stuck(say("kvm.stuck", done=done + times - left))
        ns = now() - start
        last = exits.read(self._shared, ns)
        if last.reason in exits.BROKEN:
            rip = hex(self.registers()["rip"])
            raise MachineError(say("kvm.broken", reason=last.reason, detail=last.detail, rip=rip))
        return last

    def bounce(self, times: int) -> int:
        """ns of ``times`` KVM_RUN that come back before the guest runs: what Python and the way into KVM cost."""
        self._open()
        with self._turn.take():
            enter, vcpu, request = libc.plain_ioctl(), self._vcpu, abi.KVM_RUN
            self._shared[abi.IMMEDIATE_EXIT] = 1
            try:
                start = now()
                for _ in range(times):
                    enter(vcpu, request, 0)
                return now() - start
            finally:
                self._shared[abi.IMMEDIATE_EXIT] = 0

    def answer(self, data: bytes) -> None:
        """What the device says to the read for which the guest came back; it gets it in the next run.

        Raises MachineError if it waits for no read of so many bytes.
        """
        self._open()
        exits.answer(self._shared, data)

    # --- help from the kernel -----------------------------------------------------------------------------------------

    def ioeventfd(self, address: int, size: int, *, pio: bool = False) -> int:
        """Writes of ``size`` bytes to a port or an address become signals of an eventfd, and no return to user space.

        The eventfd, non-blocking, is the guest's: do not close it. Raises ParameterError for an impossible access.
        """
        self._access(address, size, pio, (1, 2, 4) if pio else (1, 2, 4, 8))
        fd = self._eventfd()
        flags = abi.IOEVENTFD_PIO if pio else 0
        self._ask(self._vm, abi.KVM_IOEVENTFD, abi.IOEVENTFD.pack(0, address, size, fd, flags))
        return fd

    def irqfd(self, gsi: int) -> int:
        """An eventfd whose signals become interrupts of line ``gsi``, 0 to 23. It is the guest's: do not close it."""
        self._open()
        if not self.irqchip:
            raise MachineError(say("kvm.irqchip"))
        if not 0 <= gsi < _GSIS:
            raise ParameterError(say("kvm.argument.gsi", given=gsi, most=_GSIS - 1))
        self._need(abi.KVM_CAP_IRQFD, "KVM_CAP_IRQFD")
        fd = self._eventfd()
        self._ask(self._vm, abi.KVM_IRQFD, abi.IRQFD.pack(fd, gsi, 0))
        return fd

    def signals(self, fd: int) -> int:
        """How often an eventfd was signalled since it was last asked."""
        self._open()
        try:
            return os.eventfd_read(fd)
        except BlockingIOError:
            return 0

    def coalesce(self, address: int, size: int, *, pio: bool = False) -> None:
        """Writes to so many ports or addresses wait in KVM's ring, 169 at most, until the guest comes back anyway."""
        self._access(address, size, pio, range(1, abi.PAGE + 1))
        page = capability(self._kvm, abi.KVM_CAP_COALESCED_MMIO)
        if not page or pio and not capability(self._kvm, abi.KVM_CAP_COALESCED_PIO):
            raise MachineError(say("kvm.why.capability", names=f"KVM_CAP_COALESCED_{'PIO' if pio else 'MMIO'}"))
        self._ask(self._vm, abi.KVM_REGISTER_COALESCED_MMIO, abi.COALESCED_ZONE.pack(address, size, int(pio)))
        self._ring = Ring(self._shared, page * abi.PAGE)

    def coalesced(self) -> list[Access]:
        """Takes what waits in the ring, in order."""
        self._open()
        return self._ring.take() if self._ring else []

    def statistics(self) -> dict[str, int]:
        """KVM's own counters of this vCPU by its own names; empty where Linux is older than 5.14."""
        self._open()
        return self._statistics.read() if self._statistics else {}

    # --- small checks -------------------------------------------------------------------------------------------------

    def _open(self) -> None:
        if self.closed:
            raise MachineError(say("kvm.closed"))

    def _ask(self, fd: int, request: int, argument: bytes | bytearray) -> None:
        try:
            abi.ioctl(fd, request, argument)
        except OSError as error:
            raise MachineError(say("kvm.why.failed", device="KVM", error=error.strerror)) from error

    @contextmanager
    def _time_limit(self, seconds: float) -> Iterator[int]:
        """The end, on the clock in ns, and ticks until then."""
        if not 0 < seconds <= _LONGEST_SECONDS:
            raise ParameterError(say("kvm.argument.seconds", given=repr(seconds), most=f"{_LONGEST_SECONDS:g}"))
        with ExitStack() as ticks:
            try:
                ticks.enter_context(watchdog.ticking(self._vcpu))
            except OSError as error:
                raise MachineError(say("kvm.why.failed", device="KVM", error=error.strerror)) from error
            yield now() + int(seconds * 1e9)

    def _inside(self, address: int, size: int) -> None:
        self._open()
        if not (0 <= address and 0 <= size and address + size <= MEMORY_BYTES):
            raise ParameterError(say("kvm.argument.memory", address=hex(address), size=size))

    def _access(self, address: int, size: int, pio: bool, sizes: tuple[int, ...] | range) -> None:
        self._open()
        first, end = (0, _PORTS) if pio else (MEMORY_BYTES, _HIGHEST)
        if size not in sizes or not first <= address <= end - size:
            where = say(f"kvm.argument.{'port' if pio else 'mmio'}")
            allowed = f"1 to {sizes[-1]:,}" if isinstance(sizes, range) else ", ".join(map(str, sizes))
            raise ParameterError(say("kvm.argument.access", where=where, sizes=allowed, size=size,
                                     address=hex(address)))  # fmt: skip

    def _need(self, number: int, name: str) -> None:
        if not capability(self._kvm, number):
            raise MachineError(say("kvm.why.capability", names=name))

    def _eventfd(self) -> int:
        return descriptor(self._held, os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC))
