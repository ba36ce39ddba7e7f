"""The scheduler of virtlab.cpu as a SimPy user writes it: a process a pCPU, which is interrupted where a thread that
wakes up takes its place, and a process a thread. Oracle of the tests, yardstick of the benchmark.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import simpy

from virtlab.cpu.schedule import arguments_of
from virtlab.cpu.schedule_options import ScheduleOptions
from virtlab.cpu.schedule_steps import BUCKETS, GIVEN, SPEED, THREAD

Process = Generator[simpy.Event, Any, None]


class Due(simpy.Event):
    """A timeout with a rank: of those at one time the lower comes first, and all after what is done at once."""

    def __init__(self, env: simpy.Environment, delay: int, rank: int) -> None:
        super().__init__(env)
        self._ok, self._value = True, None
        env.schedule(self, rank + 2, delay)


class Thread:
    """A vCPU or an emulator."""

    def __init__(self, number: int, given: list[int], work: tuple[float, float]) -> None:
        (self.low, self.high, self.near_low, self.near_high, self.home, self.rate, self.weight, self.near_speed,
         self.far_speed, self.on) = given  # fmt: skip
        self.number, (self.work_mean, self.sleep_mean) = number, work
        self.vrt = self.deadline = self.lag = self.left = self.cold = self.rest = self.size = 0
        self.ready = self.since = 0
        self.run = self.steal = self.idle = self.work = self.overhead = self.far = self.longest = 0
        self.roams = self.low + 1 < self.high
        self.fresh = self.awake = False
        self.done: simpy.Event | None = None

    def waited(self, now: int) -> int:
        self.steal += now - self.ready
        self.longest = max(self.longest, now - self.ready)
        return now - self.ready


class Pcpu:
    def __init__(self, number: int, node: int) -> None:
        self.number, self.node = number, node
        self.running: Thread | None = None
        self.queue: list[Thread] = []
        self.load = self.base = self.dated = self.speed = self.vcpu = self.emulator = self.unused = 0
        self.called: simpy.Event | None = None  # what it waits for while it is idle
        self.process: simpy.Process | None = None


class Host:
    """Everything as `schedule` has it; `run` returns what each thread and each pCPU did, the waits, and counts."""

    def __init__(self, options: ScheduleOptions, seed: int = 1) -> None:
        setting, threads, pcpus, means, work, sleep, *_ = (a.tolist() for a in arguments_of(options, seed))
        (_, self.vcpus, n, self.bursts, self.wall, self.slice, self.credit, self.granularity, self.eevdf, self.switch,
         self.migration, *_) = setting  # fmt: skip
        self.work_units, self.sleep_units = work, sleep
        given = (threads[k : k + GIVEN] for k in range(0, len(threads), THREAD))
        self.threads = [Thread(v, row, (means[v], means[n + v])) for v, row in enumerate(given)]
        self.pcpus = [Pcpu(c, pcpus[c * len(pcpus) // options.pcpus]) for c in range(options.pcpus)]
        self.waits = [0] * (4 * BUCKETS)
        self.switches = self.migrations = self.preemptions = 0
        self.env = simpy.Environment()

    def run(self) -> list[int]:
        for pcpu in self.pcpus:
            pcpu.process = self.env.process(self.pcpu(pcpu))
        for thread in self.threads:
            self.env.process(self.thread(thread))
        self.env.run(until=self.wall)
        for pcpu in self.pcpus:
            if pcpu.running:
                self.spend(pcpu, pcpu.running)
            else:
                pcpu.unused += self.wall - pcpu.dated
            for s in pcpu.queue:
                s.waited(self.wall)
        for s in self.threads:
            if s.awake:
                s.work += (s.size * SPEED - max(0, s.rest)) // SPEED
            else:
                s.idle += self.wall - s.since
        spent = [[s.run, s.steal, s.idle, s.work, s.overhead, s.far, s.longest] for s in self.threads]
        taken = [[p.vcpu, p.emulator, p.unused] for p in self.pcpus]
        return [*sum(spent, []), *sum(taken, []), *self.waits, self.switches, self.migrations, self.preemptions]

    def count(self, kind: int, s: Thread, ns: int) -> None:
        shift = max(0, ns.bit_length() - 7)
        self.waits[(kind + (s.number >= self.vcpus)) * BUCKETS + 64 * shift + (ns >> shift)] += 1

    def thread(self, s: Thread) -> Process:
        rank, first = len(self.pcpus) + s.number, s.number * self.bursts
        if s.work_mean == 0:
            return
        turn = 0
        yield Due(self.env, int(self.sleep_units[first] * s.sleep_mean) if s.sleep_mean >= 0 else 0, rank)
        while True:
            s.idle += self.env.now - s.since
            s.size = max(1, int(self.work_units[first + turn] * s.work_mean)) if s.sleep_mean >= 0 else self.wall + 1
            s.rest = s.size * SPEED
            s.awake = s.fresh = True
            s.since = self.env.now
            s.done = self.env.event()
            self.wake(s)
            yield s.done
            s.awake = False
            s.since = self.env.now
            turn = (turn + 1) % self.bursts
            yield Due(self.env, int(self.sleep_units[first + turn] * s.sleep_mean), rank)

    def wake(self, s: Thread) -> None:
        pcpu = self.pcpus[s.on]
        if pcpu.load:
            pcpu = self.quietest(s, pcpu, pcpu.load)
        u = pcpu.running
        start = pcpu.base
        if u:
            self.spend(pcpu, u)
            present = [*pcpu.queue, u]
            if self.eevdf:
                start = pcpu.base = self.mean(present)
                if s.lag > 0:
                    weight = sum(x.weight for x in present)
                    start -= s.lag * (weight + s.weight) // weight
                    s.vrt = start
            else:
                start = pcpu.base = max(start, min(x.vrt for x in present))
        s.vrt = max(s.vrt, start if self.eevdf else start - self.credit)
        s.left = self.slice
        s.deadline = s.vrt + self.slice * s.rate
        self.enqueue(s, pcpu)
        pcpu.load += 1
        if u is None:
            self.call(pcpu)
        elif self.takes_place(s, u, pcpu):
            self.preemptions += 1
            assert pcpu.process
            pcpu.process.interrupt()

    def takes_place(self, s: Thread, u: Thread, pcpu: Pcpu) -> bool:
        """Whether a thread that woke up takes the place of the one that runs."""
        if not self.eevdf:
            return u.vrt - s.vrt > self.granularity * s.rate
        mean = self.mean([*pcpu.queue, u])
        return u.vrt > mean and self.earliest(pcpu.queue, mean) is s

    def earliest(self, threads: list[Thread], mean: int) -> Thread:
        return min((q for q in threads if q.vrt <= mean), key=lambda q: (q.deadline, q.ready, q.number))

    def quietest(self, s: Thread, pcpu: Pcpu, fewest: int) -> Pcpu:
        """Moves the thread to the pCPU with the fewest threads, and below `fewest`, if there is one."""
        if not s.roams:
            return pcpu
        best = pcpu
        for candidate in self.pcpus[s.near_low : s.near_high] + self.pcpus[s.low : s.high]:
            if candidate.load < fewest:
                best, fewest = candidate, candidate.load
                if not fewest:
                    break
        if best is not pcpu:
            self.moved(s, pcpu, best)
        return best

    def moved(self, s: Thread, source: Pcpu, target: Pcpu) -> None:
        s.vrt += target.base - source.base
        s.cold += self.migration
        s.on = target.number
        self.migrations += 1

    def enqueue(self, s: Thread, pcpu: Pcpu) -> None:
        s.ready = self.env.now
        pcpu.queue.append(s)

    def call(self, pcpu: Pcpu) -> None:
        assert pcpu.called
        pcpu.called.succeed()

    def mean(self, threads: list[Thread]) -> int:
        start = threads[0].vrt
        total = sum(s.weight * (s.vrt - start) for s in threads)
        return start + total // sum(s.weight for s in threads)

    def spend(self, pcpu: Pcpu, s: Thread) -> None:
        d = self.env.now - pcpu.dated
        pcpu.dated = self.env.now
        s.run += d
        if s.number < self.vcpus:
            pcpu.vcpu += d
        else:
            pcpu.emulator += d
        if pcpu.node != s.home:
            s.far += d
        s.vrt += d * s.rate
        s.left -= d
        cold = min(d, s.cold)
        s.cold -= cold
        s.overhead += cold
        s.rest -= (d - cold) * pcpu.speed

    def pcpu(self, pcpu: Pcpu) -> Process:
        back: Thread | None = None
        while True:
            if not pcpu.queue:
                self.take_over(pcpu)
            pcpu.dated = self.env.now
            if not pcpu.queue:
                pcpu.called = self.env.event()
                yield pcpu.called
                pcpu.called = None
                pcpu.unused += self.env.now - pcpu.dated
                pcpu.dated = self.env.now
            s = self.choose(pcpu)
            s_waited = s.waited(self.env.now)
            if s.fresh:
                s.fresh = False
                self.count(0, s, s_waited)
            if s is not back:
                s.cold += self.switch
                self.switches += 1
            pcpu.running = s
            pcpu.speed = s.near_speed if pcpu.node == s.home else s.far_speed
            try:
                while True:
                    need = s.cold + (s.rest + pcpu.speed - 1) // pcpu.speed
                    yield Due(self.env, min(need, s.left), pcpu.number)
                    self.spend(pcpu, s)
                    if s.rest <= 0:
                        break
                    s.left = self.slice
                    s.deadline = s.vrt + self.slice * s.rate
                    if pcpu.queue:
                        break
            except simpy.Interrupt:
                pass  # whoever did it has accounted for the time
            pcpu.running = None
            back = None
            if s.rest <= 0:
                s.work += s.size
                self.count(2, s, self.env.now - s.since)
                pcpu.load -= 1
                s.lag = min(self.mean([*pcpu.queue, s]) - s.vrt, 2 * self.slice * s.rate)
                if not pcpu.load:
                    pcpu.base = s.vrt if self.eevdf else max(pcpu.base, s.vrt)
                assert s.done
                s.done.succeed()
                continue
            target = self.quietest(s, pcpu, 1)
            self.enqueue(s, target)
            if target is pcpu:
                back = s
            else:
                pcpu.load -= 1
                target.load += 1
                self.call(target)

    def choose(self, pcpu: Pcpu) -> Thread:
        if self.eevdf:
            x = self.mean(pcpu.queue)
            s = self.earliest(pcpu.queue, x)
        else:
            s = min(pcpu.queue, key=lambda q: (q.vrt, q.ready, q.number))
            x = max(s.vrt, pcpu.base)
            s.left = self.slice
        pcpu.base = x
        pcpu.queue.remove(s)
        return s

    def take_over(self, pcpu: Pcpu) -> None:
        """Who waited longest in another queue and may run here, on the same node first."""
        found = [s for p in self.pcpus for s in p.queue if s.roams and s.low <= pcpu.number < s.high]
        if found:
            near = [s for s in found if self.pcpus[s.on].node == pcpu.node]
            s = min(near or found, key=lambda q: (q.ready, q.number))
            source = self.pcpus[s.on]
            source.queue.remove(s)
            source.load -= 1
            pcpu.queue.append(s)
            pcpu.load = 1
            self.moved(s, source, pcpu)
