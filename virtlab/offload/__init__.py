"""The hardware that takes I/O off the CPU: moderated interrupts, PCIe and DMA, the IOMMU, and sliced cards."""

from virtlab.offload.cipher_floor import CipherFloor, cipher_floor
from virtlab.offload.data_check import DataCheck, data_check
from virtlab.offload.durability import WRITE_CACHES, CacheModes, Durability, cache_modes, compare_writes, durability
from virtlab.offload.encryption import (
    CIPHER_GENERATIONS,
    CRYPTO_PLACES,
    Encryption,
    EncryptionOptions,
    Sealing,
    encryption,
)

__all__ = [
    "CIPHER_GENERATIONS", "CRYPTO_PLACES", "WRITE_CACHES", "CacheModes", "CipherFloor", "DataCheck", "Durability",
    "Encryption", "EncryptionOptions", "Sealing", "cache_modes", "cipher_floor", "compare_writes", "data_check",
    "durability", "encryption",
]  # fmt: skip
