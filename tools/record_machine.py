"""Records virtlab/machine/data/recorded_NAME.toml: the middle one of some calm runs of a probe on this computer.

Python's path must lead to the checkout. A run counts when nobody else was in its way: before it by Linux's own account
of waiting, and during it by what the probe itself sees. So it may have to wait. What is counted and not timed
("functions", "boots", "surface", "overhead") is recorded at once.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from virtlab.machine.computer import look_at
from virtlab.machine.functions import MOST, measure_functions
from virtlab.machine.measured import BUSY, Measured
from virtlab.machine.probing import COUNTED, PROBES

DATA = Path(__file__).resolve().parents[1] / "virtlab" / "machine" / "data"
#: What the runs are sorted by, to find the middle one; and a share that only others can raise.
SORTED_BY = {"costs": "context_switch", "pages": "ratio_256m", "copies": "ratio_two_one", "switches": "switch_two_cpus",
             "rivals": "slower_256m", "calls": "python_each", "jitter": "lost_rival", "ciphers": "aes_xts",
             "waiting": "wait_one_cpu"}  # fmt: skip
DISTURBED = {"jitter": "waited_alone", "waiting": "wait_two_cpus"}
FILES = {"costs": "recorded.toml"}
FUNCTIONS = "functions"
#: The longest that one case of what is counted may take, whatever else this computer does.
CASE_SECONDS = 600


def calm_runs(names: Sequence[str], count: int, until: float) -> dict[str, list[Measured]]:
    """So many runs of each that nobody disturbed, by turns. Ends the program when ``until`` comes first."""
    found: dict[str, list[Measured]] = {name: [] for name in names}
    tried = dict.fromkeys(names, 0)
    while lacking := [name for name in names if len(found[name]) < count]:
        if time.monotonic() > until:
            raise SystemExit(f"this computer was never calm for long enough for {', '.join(lacking)}")
        waiting = look_at().waiting
        if waiting is not None and waiting > 0.9 * BUSY:
            time.sleep(0.5)
            continue
        name = min(lacking, key=tried.__getitem__)
        tried[name] += 1
        run = PROBES[name]()
        calm = not run.facts.busy and (name not in DISTURBED or run[DISTURBED[name]].value < 0.02)
        print(f"{name}: {run[SORTED_BY[name]].text()}; {run.facts.noise()} {'+' if calm else '-'}", flush=True)
        if calm:
            found[name].append(run)
    return found


def middle(name: str, runs: Sequence[Measured], note: str) -> Measured:
    """The run in the middle, with the note and how it was chosen."""
    chosen = sorted(runs, key=lambda run: run[SORTED_BY[name]].value)[len(runs) // 2]
    how = f"the middle one of {len(runs)} calm runs, by: {chosen[SORTED_BY[name]].title}"
    return replace(chosen, facts=replace(chosen.facts, note=f"{note} ({how})" if note else how))


def record_functions(note: str) -> None:
    """The virtual functions of this computer's QEMU, all that its card has."""
    seen = measure_functions(vfs=MOST)
    seen = replace(seen, witness=replace(seen.witness, facts=replace(seen.witness.facts, note=note)))
    target = DATA / f"recorded_{FUNCTIONS}.toml"
    target.write_text(seen.toml(), encoding="utf-8")
    print(f"{target}\n{seen}")


def record_counted(name: str, note: str) -> None:
    """What is counted, in every case. Ends the program where one is missing."""
    seen = COUNTED[name][0](CASE_SECONDS).noted(note)
    if not seen.complete:
        raise SystemExit(str(seen))
    target = DATA / f"recorded_{name}.toml"
    target.write_text(seen.toml(), encoding="utf-8")
    print(f"{target}\n{seen}")


def main(arguments: Sequence[str]) -> None:
    """Records the probes that are named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("probe", nargs="+", choices=[*PROBES, FUNCTIONS, *COUNTED])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--patience", type=float, default=900, metavar="SECONDS")
    parser.add_argument("--note", default="", help="what is to be known of this computer")
    given = parser.parse_args(arguments)
    if FUNCTIONS in given.probe:
        record_functions(given.note)
    for name in set(given.probe) & set(COUNTED):
        record_counted(name, given.note)
    timed = [name for name in given.probe if name in PROBES]
    for name, runs in calm_runs(timed, given.runs, time.monotonic() + given.patience).items():
        kept = middle(name, runs, given.note)
        target = DATA / FILES.get(name, f"recorded_{name}.toml")
        target.write_text(kept.toml(), encoding="utf-8")
        print(f"{target}\n{kept}")


if __name__ == "__main__":
    main(sys.argv[1:])
