"""Receive-side scaling: which queue a flow's packets go to. The Toeplitz hash, and the indirection table behind it.

The hash is that of Microsoft's "Verifying the RSS Hash Calculation", whose key and examples the tests use; virtio-net
and every common card take the same. The table's default is Linux's ethtool_rxfh_indir_default: entry i names queue
i modulo queues.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

#: The key of Microsoft's examples; a driver draws its own at random.
KEY = bytes.fromhex("6d5a56da255b0ec24167253d43a38fb0d0ca2bcbae7b30b477cb2da38030f20c6a42b73bbeac01fa")
#: Bytes of an IPv4 four-tuple: source and destination address, source and destination port, in network order.
TUPLE_BYTES = 12


def toeplitz(tuples: NDArray[np.uint8], key: bytes = KEY) -> NDArray[np.uint32]:
    """The hash of each row of ``tuples`` (uint8[n, bytes], at most 4 bytes shorter than ``key``), as uint32[n]."""
    tables = _tables(key)
    hashes = np.zeros(len(tuples), dtype=np.uint32)
    for place in range(tuples.shape[1]):
        hashes ^= tables[place][tuples[:, place]]
    return hashes


def indirection(queues: int, entries: int) -> NDArray[np.intp]:
    """The default table: the queue that each entry names."""
    return np.arange(entries) % queues


def queue_of(hashes: NDArray[np.uint32], table: NDArray[np.intp]) -> NDArray[np.intp]:
    """The queue of each hash: its low bits choose an entry. The length of ``table`` is a power of two."""
    return table[hashes & np.uint32(len(table) - 1)]


def random_tuples(flows: int, seed: int) -> NDArray[np.uint8]:
    """Flows of many clients to port 443 of one server: uint8[flows, 12]."""
    tuples = np.random.default_rng(seed).integers(0, 256, (flows, TUPLE_BYTES), dtype=np.uint8)
    tuples[:, 4:8], tuples[:, 10:] = (10, 0, 0, 1), (443 >> 8, 443 & 255)
    return tuples


@functools.lru_cache(maxsize=4)
def _tables(key: bytes) -> NDArray[np.uint32]:
    """What each value of each byte adds to the hash: uint32[bytes, 256]. A set bit adds 32 bits of key."""
    whole, bits = int.from_bytes(key, "big"), 8 * len(key)
    tables = np.zeros((len(key) - 4, 256), dtype=np.uint32)
    value = np.arange(256)
    for bit in range(bits - 32):
        window = np.uint32((whole >> (bits - 32 - bit)) & 0xFFFFFFFF)
        tables[bit // 8] ^= np.where(value & (0x80 >> bit % 8), window, np.uint32(0))
    return tables
