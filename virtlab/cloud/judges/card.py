"""The judges of the card itself: S9, what it is built from, and S13, what it takes off the CPUs."""

from __future__ import annotations

from typing import Any, Literal

from virtlab.cloud.fleet_loss import Fleet
from virtlab.cloud.judges.common import BATCH, PATH, batch_of, cited, filled, near
from virtlab.cloud.verdict import Axis, Verdict, turn, verdict
from virtlab.core.units import number, show
from virtlab.evidence import FACTS
from virtlab.paths import LADDER, PathOptions, line_rate

_CARDS = Axis("built", choices=("nitro", "accelnet"))


def s9() -> Verdict:
    """FPGA or ASIC: which of the two the makers of two cards name."""

    def named(card: str, part: str) -> bool:
        return FACTS[f"card.{card}.{part}"].value == 1

    conditions = (
        turn("fpga", "makers", _CARDS, "nitro", lambda v: named(v, "fpga")),
        turn("asic", "makers", _CARDS, "nitro", lambda v: named(v, "asic")),
    )
    facts = cited("card.nitro.asic", "card.nitro.asic.volume", "card.nitro.fpga", "card.accelnet.fpga",
                  "card.accelnet.asic")  # fmt: skip
    return verdict("S9", filled("s9"), conditions, facts, ('evidence.FACTS["card.nitro.asic"]',))


_Scope = Literal["host", "host+guest"]
_USUAL_BATCH = 8


def network_share(
    packets_per_s: float, path: str, *, scope: _Scope = "host", batch: float = _USUAL_BATCH, posted: bool = True
) -> float:
    """The share of a server's cores that receiving takes: by the host's software, or with the guest's (0 and up).

    A server with the fleet's default number of cores; the interrupts of a card are posted unless asked otherwise. A
    core that polls is busy whether packets come or not, so there it is whole cores that count.
    """
    bill = LADDER[path].cpu(direction="rx", posted=posted, **batch_of(batch))
    guest = bill.guest_cores(packets_per_s) if scope == "host+guest" else 0.0
    return (bill.host_cores(packets_per_s) + guest) / Fleet().cores


def s13() -> Verdict:
    """From 25 % of the CPUs to less than 5 %: at which packet rate, through which path, and counting whose work."""
    before, after = (FACTS[f"article.net.cpu.{when}"].value for when in ("before", "after"))
    rate = before / network_share(1.0, "vhost-net")
    rates = Axis("packets_per_s", "packets/s", 0, line_rate(100, 64))
    scopes = Axis("cpu_scope", choices=("host", "host+guest"))

    def quarter(packets_per_s: float = rate, path: str = "vhost-net", **options: Any) -> bool:
        return near(network_share(packets_per_s, path, **options), before)

    def little(packets_per_s: float = rate, path: str = "card", **options: Any) -> bool:
        return network_share(packets_per_s, path, **options) < after

    conditions = (
        turn("quarter", "vhost_8", rates, rate, quarter),
        turn("quarter", "at_quarter", PATH, "vhost-net", lambda v: quarter(path=v)),
        turn("quarter", "at_quarter", BATCH, _USUAL_BATCH, lambda v: quarter(batch=v)),
        turn("below_5", "at_quarter", PATH, "card", lambda v: little(path=v)),
        turn("below_5", "card_quarter", scopes, "host", lambda v: little(scope=v)),
        turn("below_5", "card_quarter", Axis.of(PathOptions, "posted"), True, lambda v: little(posted=v)),
        turn("below_5", "card_with_guest", rates, 1e6, lambda v: little(v, scope="host+guest")),
    )
    sentences = filled(
        "s13", cores=Fleet().cores, rate=show(rate, "packets/s"), batch=_USUAL_BATCH, before=show(before, "%"),
        after=show(after, "%"), one=show(before / network_share(1.0, "vhost-net", batch=1), "packets/s"),
        qemu=show(before / network_share(1.0, "qemu-ioeventfd"), "packets/s"),
        own=show(network_share(rate, "card", scope="host+guest"), "%"),
        was=show(network_share(rate, "vhost-net", scope="host+guest"), "%"),
        unposted=show(network_share(rate, "card", posted=False), "%"),
        limit=show(conditions[6].high or 0.0, "packets/s"),
        pollers=number(network_share(rate, "vhost-user") * Fleet().cores),
        poller=show(network_share(rate, "vhost-user"), "%"),
    )  # fmt: skip
    facts = cited("article.net.cpu.before", "article.net.cpu.after", "overhead.leapio.cores", "vhost.m35.after.packet",
                  "guest.stack", "fleet.cores")  # fmt: skip
    calls = (
        'paths.LADDER["vhost-net"].cpu(direction="rx", kick_batch=8, interrupt_batch=8)',
        'paths.LADDER["card"].cpu(direction="rx", kick_batch=8, interrupt_batch=8, posted=True)',
    )
    return verdict("S13", sentences, conditions, facts, calls)
