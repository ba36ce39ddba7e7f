"""Records virtlab/memory/data/recorded.xz: what `sort` reads and writes while it merges. Needs valgrind; some minutes.

`sort` is on every Linux, and each of its comparisons follows two pointers into the text: a program with few references
that a TLB misses, as most are.
"""

from __future__ import annotations

import datetime
import random
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from virtlab.memory.traces import Recording, dump

TARGET = Path(__file__).resolve().parents[1] / "virtlab" / "memory" / "data" / "recorded.xz"
LINES = 80_000
FROM_END, REFERENCES = 6_000_000, 400_000  # the window begins so many data references before the end
PROGRAM = "sort --parallel=1 lines.txt"
TRACER = f"valgrind --tool=lackey --trace-mem=yes --log-fd=9 {PROGRAM}"


def main() -> None:
    """Writes the lines, runs the program under valgrind, and keeps the window's data addresses."""
    rng = random.Random(1)
    line = "{:016x} a line of some length, so that few of them share a page\n"
    with tempfile.TemporaryDirectory(prefix="virtlab-record-") as folder:
        with open(Path(folder, "lines.txt"), "w", encoding="ascii") as file:
            file.writelines(line.format(rng.getrandbits(64)) for _ in range(LINES))
        keep = f"grep '^ [LSM]' | tail -n {FROM_END} | head -n {REFERENCES}"
        script = f"set -o pipefail; LC_ALL=C {TRACER} 9>&1 >/dev/null | {keep}"
        done = subprocess.run(["bash", "-c", script], cwd=folder, stdout=subprocess.PIPE, text=True, check=False)
    # " L 04a17de0,8": load, store or modify, at an address, so many bytes
    addresses = np.array([int(text[3:].partition(",")[0], 16) for text in done.stdout.splitlines()], np.uint64)
    if len(addresses) != REFERENCES:
        raise SystemExit(f"{len(addresses)} references instead of {REFERENCES}: did {TRACER} run?")
    recording = Recording(
        command=f"LC_ALL=C {TRACER}",
        recorded=datetime.date.today().isoformat(),
        versions=f"{version('sort')}, {version('valgrind')}",
        window=f"{REFERENCES} data references, of the last {FROM_END}: it merges {LINES} lines in random order",
        addresses=addresses,
    )
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_bytes(dump(recording))
    print(f"{TARGET}: {TARGET.stat().st_size} bytes; {recording}")


def version(program: str) -> str:
    """The first line that ``program --version`` prints."""
    return subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]


if __name__ == "__main__":
    main()
