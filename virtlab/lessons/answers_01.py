"""Notebook 01: what is true, computed from the facts and the models of ``virtlab.cloud``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from virtlab.cloud import loss, price_at_which
from virtlab.core.units import show
from virtlab.evidence import FACTS
from virtlab.lessons.mistakes import Truth, as_number

# --- predictions, in per cent ---------------------------------------------------------------------------------------


def _change_percent(operation: str) -> float:
    return 100 * _change("qemu", operation)


def _computing() -> tuple[float, float]:
    fact = FACTS["overhead.gregg.hardware"]
    return 100 * fact.low, 100 * fact.high


PREDICTIONS: dict[str, Callable[[], Any]] = {
    "01.loss": lambda: -_change_percent("randread.4k.qd32"),
    "01.large": lambda: _change_percent("randread.128k.qd32"),
    "01.cpu": _computing,
}

# --- numbers --------------------------------------------------------------------------------------------------------

_OPERATIONS = ("randread.4k.qd32", "randread.4k.qd1", "randread.128k.qd32")


def _iops(system: str, operation: str) -> float:
    return float(FACTS[f"nsdi20.{system}.{operation}.iops"].value)


def _change(system: str, operation: str) -> float:
    """The change of IOPS against bare metal, as a share: -0.5 is half lost."""
    return _iops(system, operation) / _iops("metal", operation) - 1


def reproduce(vmm: str) -> Truth:
    changes = [_change(vmm, op) for op in _OPERATIONS]
    return Truth(
        tuple(100 * c for c in changes),
        {
            "claim": (-100 * FACTS["article.loss"].value,) * len(changes),
            "left": tuple(100 * (1 + c) for c in changes),
            # Divided by the guest's figure; for a small change that is nearly the same number.
            "guest_base": tuple(100 * (1 / (1 + c) - 1) if abs(c) > 0.1 else None for c in changes),
            "guest_base_signed": tuple(100 * (1 - 1 / (1 + c)) if abs(c) > 0.1 else None for c in changes),
        },
    )


_OTHER_SERVERS = (32, 64, 128)  # cores of the servers of which notebook and verdict speak


def _lost_cores(cores: float) -> float:
    return FACTS["article.servers"].value * FACTS["article.loss"].value * cores


def lost_cores(cores: int) -> Truth:
    lost = _lost_cores(cores)
    return Truth(
        (lost,),
        {
            "claim": (FACTS["article.cores.lost"].value,),
            "all_cores": (FACTS["article.servers"].value * cores,),
            "servers": (FACTS["article.servers"].value * FACTS["article.loss"].value,),
            "threads": (lost * FACTS["fleet.threads_per_core"].value,),
            **{f"fleet_{other}": (_lost_cores(other),) for other in _OTHER_SERVERS},
        },
    )


def price(cores: int) -> Truth:
    cost, lost = FACTS["article.cost"].value, _lost_cores(cores)
    right = price_at_which(cost, lost)
    return Truth(
        (right,),
        {
            "claim": (price_at_which(cost, FACTS["article.cores.lost"].value),),
            "all_cores": (price_at_which(cost, FACTS["article.servers"].value * cores),),
            "per_server": (cost / FACTS["article.servers"].value,),
            "per_lost_server": (right * cores,),
            "thread": (right / FACTS["fleet.threads_per_core"].value,),
            **{f"fleet_{other}": (price_at_which(cost, _lost_cores(other)),) for other in _OTHER_SERVERS},
        },
    )


NUMBERS: dict[str, Callable[..., Truth]] = {"01.reproduce": reproduce, "01.cores": lost_cores, "01.price": price}

# --- designs --------------------------------------------------------------------------------------------------------

_EXACT = 1e-3  # "exactly 10 %": 9.9 to 10.1 %, as the exercise says


def ten_percent(answer: Any) -> tuple[str, dict[str, str]]:
    """Two different mixes (computing, network, block) that both lose 10 %, judged by the mean of ``cloud.loss``."""
    mixes = [_triple(m) for m in answer] if isinstance(answer, list | tuple) else [None]
    if _triple(answer) is not None or len(mixes) < 2:
        return "two", {}
    for place, mix in enumerate(mixes, start=1):
        at = {"place": str(place)}
        if mix is None:
            return "triple", at
        if min(mix) < 0:
            return "negative", at
        if abs(sum(mix) - 100) < 1e-3:
            return "percent", at
        if abs(sum(mix) - 1) > 1e-6:
            return "sum", {**at, "sum": show(sum(mix), digits=4)}
        cpu, net, blk = (min(share, 1.0) for share in mix)
        lost = loss(share_cpu=cpu, share_net=net, share_blk=blk).loss
        if abs(lost - FACTS["article.loss"].value) > _EXACT + 1e-9:
            key = "more" if lost < FACTS["article.loss"].value else "less"
            return key, {**at, "loss": show(lost, "%", 4)}
    if max(abs(a - b) for a, b in zip(mixes[0] or (), mixes[1] or (), strict=True)) < 0.01:
        return "same", {}
    return "right", {}


def _triple(mix: Any) -> tuple[float, ...] | None:
    numbers = [as_number(share) for share in mix] if isinstance(mix, list | tuple) else []
    if len(numbers) != 3 or None in numbers:
        return None
    return tuple(n for n in numbers if n is not None)


DESIGNS: dict[str, Callable[[Any], tuple[str, dict[str, str]]]] = {"01.ten": ten_percent}


# --- mistakes to find -----------------------------------------------------------------------------------------------


def total_loss(host_tax: float, slowdown: float) -> float:
    return 1 - (1 - host_tax) * (1 - slowdown)


REFERENCES: dict[str, Callable[..., Any]] = {"01.debug": total_loss}
