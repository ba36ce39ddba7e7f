"""How long a reader waits at first: `import virtlab`, and the first lab of a fresh process; interleaved runs."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from harness import Row, row

ROUNDS = 9
IMPORT_MS, FIRST_LAB_MS = 150.0, 2_000.0
PROGRAMS = {
    "bare Python": "pass",
    "import virtlab": "import virtlab",
    "matplotlib, ipywidgets": "import matplotlib.figure, matplotlib.backends.backend_agg, ipywidgets",
    "first lab": "from virtlab.labs import LadderLab; LadderLab()",
}


def run_ms(code: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return (time.perf_counter() - start) * 1e3


def main() -> list[Row]:
    """Medians of the time above bare Python of the same round."""
    for code in PROGRAMS.values():
        run_ms(code)  # byte code and files are warm after this
    rounds = [{name: run_ms(code) for name, code in PROGRAMS.items()} for _ in range(ROUNDS)]
    above = {n: statistics.median(r[n] - r["bare Python"] for r in rounds) for n in PROGRAMS}
    print(f"  bare Python {statistics.median(r['bare Python'] for r in rounds):.0f} ms")
    for name in list(PROGRAMS)[1:]:
        print(f"  {name:24s} {above[name]:6.0f} ms above it")
    return [
        row(f"import virtlab, {IMPORT_MS:.0f} ms / time", IMPORT_MS / above["import virtlab"], 1, 1),
        row(f"first lab, {FIRST_LAB_MS:.0f} ms / time", FIRST_LAB_MS / above["first lab"], 1, 1),
    ]
