"""`python bench/run.py [suite ...]`: run the benchmarks, print a table, exit with 1 when a floor is missed.

A suite is a file bench/bench_NAME.py with a `main()` that prints what it likes and returns rows
(name, ratio, floor, goal, ok), see harness.Row. Without arguments all suites run.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
SUITES = sorted(path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py"))


def main() -> int:
    parser = argparse.ArgumentParser(description="Run the benchmarks; 1 when a floor is missed.")
    parser.add_argument("suite", nargs="*", help=f"of: {', '.join(SUITES)}")
    chosen = parser.parse_args().suite or SUITES
    if unknown := set(chosen) - set(SUITES):
        parser.error(f"no suite {', '.join(sorted(unknown))}; there are: {', '.join(SUITES)}")
    sys.path[:0] = [str(HERE), str(HERE.parent)]
    rows = []
    for suite in chosen:
        print(f"== {suite}", flush=True)
        rows += importlib.import_module(f"bench_{suite}").main()
    width = max((len(r[0]) for r in rows), default=4)
    print(f"\n{'what':{width}s} {'ratio':>10s} {'floor':>10s} {'goal':>10s}")
    for name, ratio, floor, goal, ok in rows:
        verdict = "FAIL" if not ok else "PASS" if ratio >= goal else "PASS (goal missed)"
        print(f"{name:{width}s} {ratio:10.4g} {floor:10.4g} {goal:10.4g}  {verdict}")
    return 0 if all(r[4] for r in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
