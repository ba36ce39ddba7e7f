"""The queueing models of virtlab.paths as SimPy users write them: oracle of the tests, yardstick of the benchmark."""

from __future__ import annotations

import inspect
from collections import deque
from collections.abc import Generator, Sequence
from typing import Any

import simpy

from virtlab.paths.kernels import run_path

Process = Generator[simpy.Event, Any, None]
DEFAULTS = {p.name: p.default for p in inspect.signature(run_path).parameters.values() if p.kind is p.KEYWORD_ONLY}


def tandem(arrivals: Sequence[float], services: Sequence[Sequence[float]]) -> list[float]:
    """Servers in series, the idiomatic way: one process a customer, one Resource a server. Departures from the last."""
    env = simpy.Environment()
    servers = [simpy.Resource(env, 1) for _ in services]
    departures = [0.0] * len(arrivals)

    def customer(i: int) -> Process:
        for server, service in zip(servers, services, strict=True):
            with server.request() as turn:
                yield turn
                yield env.timeout(service[i])
        departures[i] = env.now

    def source() -> Process:
        for i, arrival in enumerate(arrivals):
            yield env.timeout(max(0.0, arrival - env.now))
            env.process(customer(i))

    env.process(source())
    env.run()
    return departures


class Path:
    """The whole path: processes for source, front, worker, timer and consumer. Options as `run_path` has them."""

    def __init__(self, arrivals: Sequence[float], services: Sequence[Sequence[float]], **options: Any) -> None:
        vars(self).update(DEFAULTS | options)
        self.arrivals = arrivals
        self.services = services  # four: front, worker, softirq, application
        self.departures = [-1.0] * len(arrivals)
        self.dropped = self.interrupts = self.worker_wakeups = self.guest_wakeups = self.batches = 0
        self.occupied = 0  # entries of the used ring
        self.debt = 0.0  # what interrupts cost the consumer's next service
        self.polling = False  # the consumer is busy with a packet of the ring
        self.armed: object = None  # the timer that runs, if any
        self.queue: deque[int] = deque()  # between front and worker
        self.pending: list[int] = []  # on the ring, not visible
        self.visible: deque[int] = deque()  # on the ring, visible
        self.socket: deque[int] = deque()  # off the ring, for the application
        self.env = env = simpy.Environment()
        self.to_front = simpy.Store(env)
        self.work_for_worker: simpy.Event | None = None  # what the worker waits for, if it does
        self.work_for_consumer: simpy.Event | None = None

    def run(self) -> list[float]:
        for process in (self.source, self.front, self.worker, self.consumer):
            self.env.process(process())
        self.env.run()
        return self.departures

    def source(self) -> Process:
        for i, arrival in enumerate(self.arrivals):
            yield self.env.timeout(max(0.0, arrival - self.env.now))
            self.to_front.put(i)

    def front(self) -> Process:
        while True:
            i = yield self.to_front.get()
            yield self.env.timeout(self.services[0][i])
            if len(self.queue) < self.queue_limit:
                self.queue.append(i)
                self.wake_worker()
            else:
                self.dropped += 1

    def wake_worker(self) -> None:
        if self.work_for_worker is not None:
            self.work_for_worker.succeed()
            self.work_for_worker = None

    def worker(self) -> Process:
        bursts = deque(self.bursts)
        asleep = not self.worker_polls
        while True:
            while not self.queue or self.occupied == self.ring:
                self.work_for_worker = self.env.event()
                yield self.work_for_worker
            size = min(len(self.queue), self.budget, self.ring - self.occupied)
            batch = [self.queue.popleft() for _ in range(size)]
            work = self.c_batch + (self.c_wake if asleep else 0.0) + sum(self.services[1][i] for i in batch)
            self.worker_wakeups += asleep
            self.batches += 1
            begin = self.env.now
            while bursts and bursts[0][0] < begin + work:
                start, end = bursts.popleft()
                begin += max(0.0, end - max(start, begin))
            yield self.env.timeout(begin + work - self.env.now)
            self.occupied += size
            self.pending += batch
            self.gate()
            asleep = not self.queue and not self.worker_polls

    def gate(self) -> None:
        if self.guest_polls or (self.napi and (self.polling or self.visible)):
            self.reveal()
        elif len(self.pending) >= self.irq_frames:
            self.interrupt()
        elif self.armed is None:
            self.armed = object()
            self.env.process(self.timer(self.armed))

    def timer(self, token: object) -> Process:
        yield self.env.timeout(self.irq_delay)
        if self.armed is token:
            self.interrupt()

    def interrupt(self) -> None:
        self.armed = None
        self.interrupts += 1
        self.debt += self.c_irq
        if self.work_for_consumer is not None:
            self.guest_wakeups += 1
            self.debt += self.c_guest_wake
        self.reveal()

    def reveal(self) -> None:
        self.visible.extend(self.pending)
        self.pending.clear()
        if self.work_for_consumer is not None:
            self.work_for_consumer.succeed()
            self.work_for_consumer = None

    def consumer(self) -> Process:
        while True:
            if self.visible:
                i = self.visible.popleft()
                work, self.debt = self.debt + self.services[2][i], 0.0
                self.polling = True
                yield self.env.timeout(work)
                self.polling = False
                if self.services[3][i]:
                    self.socket.append(i)
                else:
                    self.departures[i] = self.env.now
                self.occupied -= 1
                self.wake_worker()
            elif self.socket:
                i = self.socket.popleft()
                work, self.debt = self.debt + self.services[3][i], 0.0
                yield self.env.timeout(work)
                self.departures[i] = self.env.now
            else:
                self.work_for_consumer = self.env.event()
                yield self.work_for_consumer
