"""The scheduler of vCPUs on pCPUs, against SimPy and plain C, in interleaved rounds with equal results."""

from __future__ import annotations

import ctypes
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import simpy_schedule
from harness import Row, compile_c, interleave, ratio, report, row

from virtlab.core.jit import have_numba
from virtlab.cpu import ScheduleOptions, schedule
from virtlab.cpu import schedule_steps as at
from virtlab.cpu.schedule import arguments_of
from virtlab.cpu.schedule_kernel import schedule_kernel

MS = 1_000_000
#: 64 vCPUs on 16 pCPUs at a load of 0.9, as `speed.md` has them; a lab shows a second of it.
HOST = ScheduleOptions(pcpus=16, vms=16, vcpus_per_vm=4, duty=0.225, emulator_load=0.0)
CASES = [(policy, pinning) for policy in ("cfs", "eevdf") for pinning in ("none", "vcpus")]
LONG, LAB, SHORT = 2_000 * MS, 1_000 * MS, 500 * MS  # simulated by the bare loops; by a lab; by SimPy
RECORD = 64  # numbers that a struct of the C loop has at most


def main() -> list[Row]:
    """Equal results, then the ratios."""
    if not have_numba():
        print("skipped: numba is not there, and it is what is measured")
        return []
    return simpy_rows() + c_rows()


def hosts(wall_ns: int) -> list[ScheduleOptions]:
    return [HOST.replace(policy=policy, pinning=pinning, wall_ns=wall_ns) for policy, pinning in CASES]


def results(arguments: tuple[Any, ...]) -> list[int]:
    """What the loop found: of threads, of pCPUs, waits, counts (as `simpy_schedule` has them)."""
    _, threads, pcpus, *_, waits, _, counters = arguments
    spent = threads.reshape(-1, at.THREAD)[:, at.RUN : at.LONGEST + 1]
    taken = pcpus.reshape(-1, at.PCPU)[:, at.VCPUS : at.UNUSED + 1]
    return np.concatenate((spent.ravel(), taken.ravel(), waits, counters[1:4])).tolist()  # type: ignore[no-any-return]


def numba(options: ScheduleOptions) -> tuple[Any, ...]:
    arguments = arguments_of(options, 1)
    schedule_kernel(*arguments)
    return arguments


def c_loop(library: ctypes.CDLL) -> Callable[[ScheduleOptions], tuple[Any, ...]]:
    def pointer(array: Any) -> ctypes.c_void_p:
        return ctypes.c_void_p(array.ctypes.data)

    def run(options: ScheduleOptions) -> tuple[Any, ...]:
        arguments = arguments_of(options, 1)
        setting, threads, pcpus, means, work, sleep, tree, queue, waits, _, counters = arguments
        space = np.zeros(RECORD * (options.pcpus + options.vcpus + options.emulators), np.int64)
        inputs = [pointer(array) for array in (setting, threads, pcpus, means, work, sleep, tree)]
        outputs = [pointer(array) for array in (queue, waits, counters, space)]
        library.schedule(*inputs, ctypes.c_int64(len(tree) // 2), *outputs)
        return arguments

    return run


def simpy_rows() -> list[Row]:
    rows = []
    for options in hosts(SHORT):
        lab = options.replace(wall_ns=LAB)
        assert results(numba(options)) == simpy_schedule.Host(options).run(), "numba and SimPy differ"
        runs: dict[str, Callable[[], Any]] = {
            "simpy": lambda o=options: simpy_schedule.Host(o).run(),
            "schedule": lambda o=lab: schedule(o),
        }
        events = {"simpy": schedule(options).events, "schedule": schedule(lab).events}
        rates = interleave(runs, events, rounds=7)
        name = f"{options.policy}, {'pinned' if options.pinning == 'vcpus' else 'free'}"
        report(f"64 vCPUs on 16 pCPUs, {name} (public function)", rates, "events", "simpy")
        update = events["schedule"] / statistics.median(rates["schedule"]) * 1e3
        print(f"  an update of a lab, 1 s simulated: {update:.1f} ms for {events['schedule']:,} events")
        rows.append(row(f"scheduler, {name}, numba / SimPy", ratio(rates, "schedule", "simpy"), 40, 55))
    return rows


def c_rows() -> list[Row]:
    library = compile_c(Path(__file__).with_name("schedule.c"))
    if isinstance(library, str):
        print(f"no yardstick in C: {library}")
        return []
    c, cases, events = c_loop(library), hosts(LONG), 0
    # The peer does every kind of setting as the kernel does, not only those that are timed.
    odd = HOST.replace(numa_nodes=2, emulator_load=0.1, heavy_weight=3, reserved_pcpus=2, pinning="vcpus+emulators")
    for options in [*cases, odd, odd.replace(pinning="none", placement="local"), odd.replace(policy="cfs", duty=1)]:
        assert results(c(options)) == results(numba(options)), "numba and C differ"
    for options in cases:
        events += schedule(options).events
    runs: dict[str, Callable[[], Any]] = {
        "c": lambda: [c(options) for options in cases],
        "numba": lambda: [numba(options) for options in cases],
    }
    rates = interleave(runs, dict.fromkeys(runs, events), rounds=31)
    report("the four of them, bare loops", rates, "events", "c")
    return [row("scheduler, numba / C", ratio(rates, "numba", "c"), 0.9, 1.0)]
