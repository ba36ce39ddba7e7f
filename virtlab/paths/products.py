"""What is quoted of disks that are sold, and whether one of them has all of it: two products make no third."""

from __future__ import annotations

from dataclasses import dataclass

from virtlab.core.table import Shown, Table
from virtlab.core.units import show
from virtlab.core.words import say, words
from virtlab.evidence import FACTS

#: By product: the facts with its highest IOPS, its latency, and whether it can be encrypted; "" where none was read.
PRODUCTS: dict[str, tuple[str, str, str]] = {
    "pl1": ("storage.essd.pl1", "", "storage.essd.pl.encrypted"),
    "pl3": ("storage.essd.pl3", "", "storage.essd.pl.encrypted"),
    "plx": ("storage.essd.plx", "", "storage.essd.plx.encrypted"),
    "io2": ("storage.io2.iops", "storage.io2.latency", ""),
    "i3": ("storage.i3.local", "", ""),
}


@dataclass(frozen=True)
class Product:
    """One product: by wish ("iops", "latency", "encrypted") True, False, or None where nothing was read of it."""

    id: str
    meets: dict[str, bool | None]

    @property
    def has_all(self) -> bool | None:
        """False with one wish that it has not; True with all; None where something is not known."""
        answers = self.meets.values()
        return False if False in answers else None if None in answers else True


@dataclass(frozen=True, repr=False)
class Products(Shown):
    """Every product before the same wishes."""

    products: tuple[Product, ...]
    wishes: tuple[str, ...]

    def table(self) -> Table:
        rows = [
            (words(f"products.name.{p.id}"), *(_quoted(p.id, wish, p.meets[wish]) for wish in self.wishes),
             words(f"products.all.{p.has_all}"))
            for p in self.products
        ]  # fmt: skip
        wishes = (words(f"products.wish.{w}") for w in self.wishes)
        head = [words("products.product"), *wishes, words("products.together")]
        return Table.of(head, rows, words("products.caption"))


def products(
    *, iops: float | None = None, latency_ns: float | None = None, encrypted: bool = False
) -> Products:  # fmt: skip
    """Which product is quoted with at least ``iops``, at most ``latency_ns`` and, if asked, encryption: all at once.

    A wish that is left out is not asked. ValueError without a wish.
    """
    wishes = {"iops": iops is not None, "latency": latency_ns is not None, "encrypted": encrypted}
    asked = tuple(wish for wish, wanted in wishes.items() if wanted)
    if not asked:
        raise ValueError("ask for iops, latency_ns or encrypted=True: without a wish every product has all of it.")
    found = []
    for key, facts in PRODUCTS.items():
        rate, time, cipher = (FACTS[f] if f else None for f in facts)
        meets = {
            "iops": None if rate is None else rate.value >= (iops or 0),
            # "Below 500 µs" promises no more than that, and denies nothing.
            "latency": True if time is not None and 1e3 * time.value <= (latency_ns or 0) else None,
            "encrypted": None if cipher is None else bool(cipher.value),
        }
        found.append(Product(key, {wish: meets[wish] for wish in asked}))
    return Products(tuple(found), asked)


def _quoted(product: str, wish: str, meets: bool | None) -> str:
    """The answer, with the figure that it comes from and its evidence class."""
    fact = FACTS.get(PRODUCTS[product][("iops", "latency", "encrypted").index(wish)])
    text = str(words(f"products.meets.{meets}"))
    if fact is None or wish == "encrypted":
        return text + (f" [{fact.evidence}]" if fact else "")
    figure = show(fact.value, fact.unit if wish == "latency" else "IOPS")
    if meets is None:
        return f"{say('products.below', value=figure)} [{fact.evidence}]"
    return f"{text} ({figure} [{fact.evidence}])"
