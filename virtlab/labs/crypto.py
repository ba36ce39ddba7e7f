"""The crypto lab: cores that encryption takes in software, a card that takes none, and what a request waits."""

from __future__ import annotations

from virtlab.core.parameter import Parameters, same
from virtlab.core.words import say
from virtlab.evidence import FACTS
from virtlab.figures.crypto import CryptoPicture, CryptoResult, Span
from virtlab.labs.measuring import MeasuringLab
from virtlab.machine import Measured, Quantity, measure_ciphers, recorded_ciphers
from virtlab.machine.cipher import cipher_sentence
from virtlab.offload import CIPHER_GENERATIONS, EncryptionOptions, encryption

#: Published rates of one core, AES-256-XTS, by the words' key: fact, and what makes GB/s of it.
_PUBLISHED = {
    "zenplus": ("crypto.xts.zenplus.mitigated", 2**20 / 1e9), "icelake_512": ("crypto.xts.icelake.512", 1.0),
    "icelake_aesni": ("crypto.xts.icelake.aesni", 1.0), "zen4": ("crypto.xts.zen4.vaes", 1.0),
    "icelake_16k": ("crypto.xts.icelake.16384", 1.0),
}  # fmt: skip


class CryptoSetting(Parameters):
    """What is encrypted, how fast a core does it, and what stands around it."""

    throughput_gbit_per_s: float = same(EncryptionOptions, "throughput_gbit_per_s", ge=1, le=800)
    cipher_cycles_per_byte: float = same(EncryptionOptions, "cipher_cycles_per_byte")
    request_bytes: int = same(EncryptionOptions, "request_bytes")
    hand_overs: int = same(EncryptionOptions, "hand_overs")
    clock_ghz: float = same(EncryptionOptions, "clock_ghz")
    cipher_unit_bytes: int = same(EncryptionOptions, "cipher_unit_bytes", le=4096)
    cipher_unit_cycles: float = same(EncryptionOptions, "cipher_unit_cycles")
    context_switch_ns: float = same(EncryptionOptions, "context_switch_ns")
    guest_crypto_threads: int = same(EncryptionOptions, "guest_crypto_threads")
    host_crypto_threads: int = same(EncryptionOptions, "host_crypto_threads")
    card_crypto_gbit_per_s: float = same(EncryptionOptions, "card_crypto_gbit_per_s")
    card_crypto_ns: float = same(EncryptionOptions, "card_crypto_ns")


class _Picture(CryptoPicture):
    generations = {key: FACTS[fact].value for key, fact in CIPHER_GENERATIONS.items()}
    published = {key: FACTS[fact].value * factor for key, (fact, factor) in _PUBLISHED.items()}


class CryptoLab(MeasuringLab):
    """Encryption in software and on a card. It opens with a recorded CPU; ``measure()`` asks this computer's."""

    Setting = CryptoSetting
    Picture = _Picture
    visible = ("throughput_gbit_per_s", "cipher_cycles_per_byte", "request_bytes", "hand_overs")

    button_help, seconds = "crypto_lab.button_help", 0.5

    def record(self) -> Measured:
        return recorded_ciphers()

    def ask(self, seconds: float) -> Measured:
        return measure_ciphers(seconds)

    def solve(self, setting: CryptoSetting) -> CryptoResult:
        measured = self.measured
        return CryptoResult(encryption(**setting.model_dump()), _span(measured["aes_xts"]),
                            _span(measured["aes_xts_block"]), measured.label(), measured.origin == "now")  # fmt: skip

    def sentence(self, setting: CryptoSetting, result: CryptoResult) -> str:
        return say("crypto_lab.sentence", model=result.now.sentence(), machine=cipher_sentence(self.measured))


def _span(quantity: Quantity) -> Span | None:
    return (quantity.value, quantity.low, quantity.high) if quantity.present else None
