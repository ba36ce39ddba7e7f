"""Management of a host: what monitoring, snapshots, migration and images cost guests, cores and a card.

The same work in three places. On the **host** it runs beside the guests, on their cores. **Reserved** cores do it
alone; the same guests then share what is left, so that each core of theirs is busier. A **board** (a card with cores of
its own) does it beside its own work, the first packets of new connections; its cores are slower, and finite too.

A reservation gives back no capacity here: it must be larger than the work that it takes. What it may win is time: the
99th percentile, and later or earlier the mean. Which of the two comes first depends on how long a piece of management
runs, against a request. Left out: switches and cold caches (beside guests management costs more: ``cpu.schedule``
counts them), locks that management holds, memory, the guest's own waiting for the disk (``snapshots``), the network
that migrations and images fill.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from virtlab.cloud.background import Beside, Floats, pooled_wait_ns
from virtlab.cloud.efficiency import efficiency
from virtlab.cloud.management_options import ManagementOptions, Work
from virtlab.core.parameter import ParameterError
from virtlab.core.table import Shown, Table
from virtlab.core.units import number, show
from virtlab.core.words import say, words
from virtlab.evidence import FACTS, Fact
from virtlab.offload.waiting import mmc_wait_ns

PLACES = ("host", "reserved", "board")
Measure = Literal["mean", "p99"]
MEASURES: tuple[Measure, ...] = ("p99", "mean")
_MOST = 1e6  # times today's work: where a break-even is no longer looked for
_AZURE = ("ddsv4", "dasv4", "dadsv5", "dasv6", "ddsv5", "ddsv6")  # hosts that are rented whole


@dataclass(frozen=True)
class Lot:
    """How guest and management fare in one place.

    ``guest_load``: of a core that runs guests; ``background``: what management takes of it. ``busy``: of the cores that
    do management, by all that they do; from 1 on its work is never done. ``lost``: of the host's capacity.
    """

    guest_load: float
    background: float
    mean_wait_ns: float
    p99_wait_ns: float
    busy: float
    management_wait_ns: float
    lost: float


@dataclass(frozen=True, repr=False)
class Management(Shown):
    """One host, its management by source, and how all fare in each of PLACES.

    ``connection_wait_ns``: what a new connection waits for a core of the board, before and after management came there.
    """

    options: ManagementOptions
    work: tuple[Work, ...]
    places: Mapping[str, Lot]
    connection_wait_ns: tuple[float, float]

    @property
    def cores(self) -> float:
        """Cores of the host that management keeps busy, on average: the tax."""
        return math.fsum(work.cores for work in self.work)

    @property
    def share(self) -> float:
        """The same as a share of the host."""
        return self.cores / self.options.cores

    @property
    def reserved_share(self) -> float:
        """What a reservation takes of the host, busy or not."""
        return self.options.reserved_cores / self.options.cores

    @property
    def price(self) -> float:
        """How many times what it removes a reservation costs. Below 1 its cores cannot do the work."""
        return self.reserved_share / self.share if self.share else math.inf

    @functools.cached_property
    def breaks_even(self) -> Mapping[Measure, float | None]:
        """The share of the host that management must take until a reservation is no worse for the guests' ``mean``, and
        for their ``p99``; the mix of sources stays. It may lie above :attr:`reserved_share`, where the cores cannot do
        the work. None where no load makes up for the cores: guests that would not fit into the rest, or management that
        gives way.
        """
        return {measure: self._breaks_even(measure) for measure in MEASURES}

    def _breaks_even(self, measure: Measure) -> float | None:
        o = self.options
        if o.squeezed_load >= 1:
            return None
        wanted = getattr(self.places["reserved"], f"{measure}_wait_ns")

        def reached(times: Floats) -> NDArray[np.bool_]:
            found = _beside(o, o.load, _shares(o) * times[:, np.newaxis])
            if measure == "mean":
                return found.mean_wait_ns() >= wanted
            return found.tail(np.full(len(times), wanted)) >= 0.01  # one in 100 waits longer: so does the percentile

        times = _first(reached)
        return None if times is None else self.share * times

    @property
    def p99_first(self) -> bool:
        """Whether growing work makes the reservation pay in the 99th percentile before it does in the mean."""
        p99, mean = (self.breaks_even[measure] for measure in MEASURES)
        return p99 is not None and (mean is None or p99 < mean)

    def law(self) -> tuple[float, float]:
        """Kleinrock's conservation law on the guests' cores (:meth:`Beside.law`). Returns both sides in ns."""
        o = self.options
        left, right = _beside(o, o.load, _shares(o)).law()
        return float(left), float(right)

    def sentence(self) -> str:
        """The result in one sentence with its numbers."""
        o, host, reserved, board = self.options, *(self.places[p] for p in PLACES)
        said = say(
            "management.sentence", cores=number(self.cores), all=o.cores, share=show(self.share, "%"),
            mean=show(host.mean_wait_ns, "ns"), p99=show(host.p99_wait_ns, "ns"), kept=o.reserved_cores,
            reserved=show(self.reserved_share, "%"), mean_r=show(reserved.mean_wait_ns, "ns"),
            p99_r=show(reserved.p99_wait_ns, "ns"), mean_b=show(board.mean_wait_ns, "ns"),
            p99_b=show(board.p99_wait_ns, "ns"), busy=show(board.busy, "%"),
        )  # fmt: skip
        if o.squeezed_load >= 1:
            return said + " " + say("management.squeezed", cores=o.cores - o.reserved_cores)
        if reserved.busy >= 1:
            return said + " " + say("management.late", kept=o.reserved_cores)
        texts = {m: words("management.no_load") if at is None else show(at, "%") for m, at in self.breaks_even.items()}
        return said + " " + say("management.pays", price=number(self.price), **texts)

    def table(self) -> Table:
        """One row a place."""
        rows = []
        for place in PLACES:
            lot = self.places[place]
            rows.append((
                words(f"management.place.{place}"), show(lot.guest_load, "%"), show(lot.background, "%"),
                show(lot.mean_wait_ns, "ns"), show(lot.p99_wait_ns, "ns"), show(lot.busy, "%"),
                show(lot.management_wait_ns, "ns"), show(lot.lost, "%"),
            ))  # fmt: skip
        return Table.of(words("management.header"), rows, self.sentence(), numeric=range(1, 8))

    def sources(self) -> Table:
        """One row a source of work."""
        rows = [(words(f"management.source.{w.source}"), show(w.rate_per_s, "1/s"), show(w.job_ns, "ns"),
                 number(w.cores)) for w in self.work]  # fmt: skip
        caption = say("management.sources.caption", cores=number(self.cores), share=show(self.share, "%"))
        return Table.of(words("management.sources.header"), rows, caption, numeric=(1, 2, 3))


def management(options: ManagementOptions | None = None, /, **changes: Any) -> Management:
    """Management of a host in three places. Options as in :class:`ManagementOptions`, as one object or by name.

    Golden: 4 of 96 cores reserved are 4.17 %. Waits on the guests' cores are exact (``background``), those for
    reserved cores and for the board's are Allen and Cunneen's. Raises ParameterError.
    """
    o = ManagementOptions.given(options, changes)
    work, shares = o.work, _shares(o)
    cores, tax = [w.cores for w in work], math.fsum(w.cores for w in work)
    shared, squeezed, alone = (
        _beside(o, o.load, shares), _beside(o, o.squeezed_load, 0 * shares), _beside(o, o.load, 0 * shares)
    )  # fmt: skip
    calls = o.connections_per_s * o.connection_ns / 1e9
    on_board = [calls, *(o.card_slowdown * c for c in cores)]
    board_jobs = [o.connection_ns, *o.card_slowdown * o.jobs_ns]
    board_wait = pooled_wait_ns(o.card_cores, on_board, board_jobs, shared.cut_ns)
    places = {
        "host": _lot(shared, tax / o.spread + o.load, float(shared.background_wait_ns()), tax / o.cores, 0.0),
        "reserved": _lot(squeezed, tax / o.reserved_cores,
                         pooled_wait_ns(o.reserved_cores, cores, [*o.jobs_ns], shared.cut_ns), 0.0,
                         o.reserved_cores / o.cores),
        "board": _lot(alone, math.fsum(on_board) / o.card_cores, board_wait, 0.0, 0.0),
    }  # fmt: skip
    before = mmc_wait_ns(o.card_cores, o.connections_per_s, o.connection_ns)
    return Management(o, work, MappingProxyType(places), (before, board_wait))


@dataclass(frozen=True)
class ManagementCurve:
    """Waits over the share of the host that management takes, float64[n]: a request's on the host's cores, management's
    for reserved cores and on the board. What does not depend on it stands in the result of ``management``."""

    shares: Floats
    mean_wait_ns: Floats
    p99_wait_ns: Floats


def management_curve(shares: ArrayLike, options: ManagementOptions | None = None, /, **changes: Any) -> ManagementCurve:
    """The guests' waits on the host over ``shares`` float[n] >= 0 of it that management takes; the mix stays.

    Raises ParameterError.
    """
    o = ManagementOptions.given(options, changes)
    x = np.asarray(shares, dtype=np.float64)
    if x.ndim != 1 or not np.all((x >= 0) & np.isfinite(x)):
        raise ParameterError("shares must be a vector of finite numbers >= 0: what management takes of the host.")
    now = _shares(o)
    mix = now / np.sum(now)
    found = _beside(o, o.load, x[:, np.newaxis] * o.cores / o.spread * mix)
    return ManagementCurve(x, found.mean_wait_ns(), found.wait_quantile_ns(0.99))


def kept_back() -> Table:
    """Hosts whose owner says how many of their threads may be used: what is kept back, published."""
    rows = []
    for host, share in kept_back_shares().items():
        cores, vcpus = _azure(host)
        rows.append((vcpus.conditions.removesuffix("-Type1"), number(2 * cores.value), number(vcpus.value),
                     show(share, "%")))  # fmt: skip
    return Table.of(words("management.kept.header"), rows, words("management.kept.caption"), numeric=(1, 2, 3))


def kept_back_shares() -> dict[str, float]:
    """The share of the threads that each of these hosts keeps back, by the host's name."""
    return {host: 1 - vcpus.value / (2 * cores.value) for host in _AZURE for cores, vcpus in [_azure(host)]}


def _azure(host: str) -> tuple[Fact, Fact]:
    """Cores of a host, and the vCPUs of it that may be used."""
    return FACTS[f"manage.azure.{host}.cores"], FACTS[f"manage.azure.{host}.vcpus"]


def _shares(o: ManagementOptions) -> Floats:
    """What each source takes of a core that management runs on beside guests."""
    return np.array([work.cores for work in o.work]) / o.spread


def _beside(o: ManagementOptions, load: float, shares: Floats) -> Beside:
    return Beside(load, o.service_ns, shares, o.jobs_ns, o.slice_ns, o.background_order)


def _lot(found: Beside, busy: float, management_wait_ns: float, slowdown: float, host_tax: float) -> Lot:
    return Lot(found.load, float(found.background), float(found.mean_wait_ns()), float(found.wait_quantile_ns(0.99)),
               busy, management_wait_ns, efficiency(min(host_tax, 1.0), min(slowdown, 1.0)).loss)  # fmt: skip


def _first(reached: Callable[[Floats], NDArray[np.bool_]]) -> float | None:
    """How many times today's work it takes: the logarithm is narrowed down, many places at once. None: never."""
    low, high = -math.log(_MOST), math.log(_MOST)
    for _ in range(5):
        places = np.linspace(low, high, 64)
        found = reached(np.exp(places))
        if not found[-1]:
            return None
        first = int(np.argmax(found))
        low, high = float(places[max(first - 1, 0)]), float(places[first])
    return math.exp(high)
