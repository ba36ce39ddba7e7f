"""What a process that we started says, line by line, without waiting for it for ever."""

from __future__ import annotations

import select
import subprocess
from time import monotonic_ns as now

from virtlab.core.words import words
from virtlab.machine.sampling import CannotMeasure

PATIENCE_SECONDS = 10
_NAP_SECONDS = 0.1
_LONGEST = 10_000  # characters of an answer


def lines(process: subprocess.Popen[bytes], count: int, expected_ns: int) -> list[str]:
    """So many lines that a process prints. Raises CannotMeasure when it ends before, or is far too late."""
    assert process.stdout is not None
    text, limit = b"", expected_ns + int(PATIENCE_SECONDS * 1e9)
    while text.count(b"\n") < count and len(text) < _LONGEST:
        # In short waits: an interrupt that strikes another thread does not wake this one, and is seen after each.
        if not select.select([process.stdout], [], [], _NAP_SECONDS)[0]:
            if now() > limit:
                raise CannotMeasure(words("machine.why.noise"))
            continue
        more = process.stdout.read(_LONGEST)
        if not more:
            raise CannotMeasure(words("machine.why.partner"))
        text += more
    return text.decode("ascii").splitlines()
