"""What encrypting a disk costs: cores and time for a request in software, no core but still time on a card."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

from virtlab.core.parameter import Parameters, parameter
from virtlab.core.table import Shown, Table
from virtlab.core.units import number, show
from virtlab.core.words import say, words
from virtlab.evidence import FACTS

CryptoPlace = Literal["none", "guest", "host", "card"]
CRYPTO_PLACES: tuple[CryptoPlace, ...] = get_args(CryptoPlace)
#: Published costs of AES-GCM in software by CPU generation, in cycles a byte: a fact each.
CIPHER_GENERATIONS: Mapping[str, str] = {
    "haswell": "crypto.gcm.haswell", "skylake": "crypto.gcm.skylake", "vaes": "crypto.gcm.vaes",
}  # fmt: skip


class EncryptionOptions(Parameters):
    """What is encrypted, how fast a core does it, and what stands around it in the guest, in QEMU and on the card.

    A request is cut into data units, each with a tweak of its own; ``cipher_unit_cycles`` is what each costs besides
    its bytes. ``hand_overs`` are those between dm-crypt's queues.
    """

    throughput_gbit_per_s: float = parameter(FACTS["crypto.throughput"], ge=0.1, le=1000, log=True)
    cipher_cycles_per_byte: float = parameter(FACTS["crypto.gcm.skylake"], ge=0.05, le=50, log=True)
    clock_ghz: float = parameter(FACTS["crypto.clock"], ge=1, le=6)
    request_bytes: int = parameter(FACTS["storage.request"], ge=512, le=1 << 20, log=True)
    cipher_unit_bytes: int = parameter(FACTS["crypto.unit"], ge=512, le=1 << 16, log=True)
    cipher_unit_cycles: float = parameter(FACTS["crypto.unit.cycles"], ge=0, le=10_000)
    hand_overs: int = parameter(FACTS["crypto.dmcrypt.queues.read"], ge=0, le=8)
    context_switch_ns: float = parameter(FACTS["host.context_switch"], ge=100, le=100_000)
    guest_crypto_threads: int = parameter(FACTS["crypto.guest.threads"], ge=1, le=256)
    host_crypto_threads: int = parameter(FACTS["crypto.host.threads"], ge=1, le=256)
    card_crypto_gbit_per_s: float = parameter(FACTS["crypto.card.rate"], ge=1, le=2000)
    card_crypto_ns: float = parameter(FACTS["crypto.card.latency"], ge=50, le=50_000)

    @property
    def gbyte_per_s(self) -> float:
        """What is to be encrypted."""
        return self.throughput_gbit_per_s / 8

    @property
    def request_cycles(self) -> float:
        """One request on one core: its bytes, and each data unit once."""
        units = -(-self.request_bytes // self.cipher_unit_bytes)
        return self.request_bytes * self.cipher_cycles_per_byte + units * self.cipher_unit_cycles

    @property
    def core_gbyte_per_s(self) -> float:
        """What one core encrypts when it does nothing else."""
        return self.request_bytes * self.clock_ghz / self.request_cycles


class Sealing(NamedTuple):
    """Encryption in one place: CPU cores for all of the throughput, what of it is reached, and a request's delay.

    ``cores`` may be more than may work there at the same time; ``busy_cores`` are those that do. ``card_share`` is how
    busy the card's engine is.
    """

    cores: float
    busy_cores: float
    reached_gbit_per_s: float
    latency_ns: float
    card_share: float


@dataclass(frozen=True, repr=False)
class Encryption(Shown):
    """What encryption costs in each place where it can happen."""

    options: EncryptionOptions
    by_place: Mapping[CryptoPlace, Sealing]

    @property
    def cores(self) -> float:
        """Cores that software needs for all of the throughput, in the guest as in the host."""
        return self.by_place["guest"].cores

    def law(self) -> tuple[float, float]:
        """Conservation: busy cores × clock is the cycles of what they encrypt. Both sides, summed, in 10⁹ cycles/s."""
        o = self.options
        software = [self.by_place[place] for place in ("guest", "host")]
        spent = sum(s.busy_cores for s in software) * o.clock_ghz
        return spent, sum(s.reached_gbit_per_s / 8 for s in software) * o.request_cycles / o.request_bytes

    def sentence(self) -> str:
        """The result in one sentence with its numbers."""
        o, guest, host, card = self.options, *(self.by_place[p] for p in ("guest", "host", "card"))
        return say("encryption.sentence", rate=show(o.throughput_gbit_per_s, "Gb/s"), cores=number(guest.cores),
                   cost=number(o.cipher_cycles_per_byte), clock=number(o.clock_ghz), size=show(o.request_bytes, "B"),
                   guest=show(guest.latency_ns, "ns"), host=show(host.latency_ns, "ns"),
                   card=show(card.latency_ns, "ns"), one=show(host.reached_gbit_per_s, "Gb/s"),
                   engine=show(card.reached_gbit_per_s, "Gb/s"))  # fmt: skip

    def table(self) -> Table:
        rows = [
            (words(f"encryption.place.{place}"), number(s.cores), show(s.reached_gbit_per_s, "Gb/s"),
             show(s.latency_ns, "ns") if s.latency_ns else "0", words(f"encryption.key.{place}"),
             words(f"encryption.plain.{place}"))
            for place, s in self.by_place.items()
        ]  # fmt: skip
        return Table.of(words("encryption.header"), rows, self.sentence(), numeric=(1, 2, 3))


def encryption(options: EncryptionOptions | None = None, /, **changes: Any) -> Encryption:
    """What it costs to encrypt a disk's data. Options as in :class:`EncryptionOptions`, as one object or by name.

    Golden: 100 Gb/s at 3 GHz takes 6.79 cores at 1.63 cycles a byte, 2.67 at 0.64, 0.67 at 0.16; on a card none, and
    a latency above zero. Raises ParameterError.
    """
    o = EncryptionOptions.given(options, changes)
    return Encryption(o, {place: _sealing(o, place) for place in CRYPTO_PLACES})


def _sealing(o: EncryptionOptions, place: CryptoPlace) -> Sealing:
    if place == "none":
        return Sealing(0.0, 0.0, o.throughput_gbit_per_s, 0.0, 0.0)
    if place == "card":
        reached = min(o.throughput_gbit_per_s, o.card_crypto_gbit_per_s)
        # The pipeline's own time, and the request's bytes one after another through its front door.
        latency_ns = o.card_crypto_ns + 8 * o.request_bytes / o.card_crypto_gbit_per_s
        return Sealing(0.0, 0.0, reached, latency_ns, reached / o.card_crypto_gbit_per_s)
    cores = o.gbyte_per_s / o.core_gbyte_per_s
    busy = min(cores, float(o.guest_crypto_threads if place == "guest" else o.host_crypto_threads))
    # QEMU encrypts where it handles the request; dm-crypt hands it from thread to thread.
    waiting_ns = o.hand_overs * o.context_switch_ns if place == "guest" else 0.0
    reached = min(8 * busy * o.core_gbyte_per_s, o.throughput_gbit_per_s)
    return Sealing(cores, busy, reached, o.request_cycles / o.clock_ghz + waiting_ns, 0.0)
