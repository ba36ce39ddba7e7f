"""The least that AES can cost on a CPU: its rounds over what the AES units do in a cycle. No code is faster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from virtlab.core.parameter import Parameters, parameter
from virtlab.core.table import Shown, Table
from virtlab.core.units import number
from virtlab.core.words import say, words
from virtlab.evidence import FACTS

KeyBits = Literal[128, 192, 256]
#: Rounds by key size (FIPS 197, section 5): one AES instruction each.
ROUNDS = {128: 10, 192: 12, 256: 14}
_BLOCK_BYTES = 16


class CipherFloorOptions(Parameters):
    """The key, how many AES instructions begin in a cycle, and how many blocks one instruction takes (with VAES)."""

    key_bits: KeyBits = parameter(FACTS["crypto.key"], default=256)
    aes_per_cycle: float = parameter(FACTS["cpu.aesenc.skylake"], ge=0.1, le=4)
    aes_blocks: Literal[1, 2, 4] = parameter(FACTS["cpu.aesenc.blocks"], default=1)


@dataclass(frozen=True, repr=False)
class CipherFloor(Shown):
    """Cycles a byte of AES alone: authentication, tweaks and the code around it come on top."""

    options: CipherFloorOptions
    rounds: int
    cycles_per_byte: float

    def law(self) -> tuple[float, float]:
        """Conservation: instructions begun are rounds of blocks. Both sides for one block."""
        o = self.options
        return self.cycles_per_byte * _BLOCK_BYTES * o.aes_per_cycle * o.aes_blocks, float(self.rounds)

    def sentence(self) -> str:
        o = self.options
        return say("cipher_floor.sentence", bits=o.key_bits, rounds=self.rounds, cost=number(self.cycles_per_byte),
                   units=number(o.aes_per_cycle), blocks=o.aes_blocks)  # fmt: skip

    def table(self) -> Table:
        """Every key with every width of the instructions."""
        rows = [
            (str(key), str(rounds), *(number(cipher_floor(self.options, key_bits=key, aes_blocks=blocks)
                                             .cycles_per_byte) for blocks in (1, 2, 4)))
            for key, rounds in ROUNDS.items()
        ]  # fmt: skip
        return Table.of(words("cipher_floor.header"), rows, self.sentence(), range(5))


def cipher_floor(options: CipherFloorOptions | None = None, /, **changes: Any) -> CipherFloor:
    """The least cycles a byte. Options as in :class:`CipherFloorOptions`, as one object or by name.

    Golden: one instruction a cycle and one block each: 0.625 with a key of 128 bits, 0.875 with 256; with four blocks
    0.156 and 0.219. Raises ParameterError.
    """
    o = CipherFloorOptions.given(options, changes)
    rounds = ROUNDS[o.key_bits]
    return CipherFloor(o, rounds, rounds / (_BLOCK_BYTES * o.aes_per_cycle * o.aes_blocks))
