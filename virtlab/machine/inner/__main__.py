"""``python -m virtlab.machine.inner``: runs all experiments, prints them; with ``--record``, keeps them."""

from __future__ import annotations

import sys
from pathlib import Path

from virtlab.machine.inner.experiments import EXPERIMENTS
from virtlab.machine.inner.result import read, recording
from virtlab.machine.inner.running import run
from virtlab.machine.owning import MachineError

TARGET = Path(__file__).parents[1] / "data" / "recorded_inner_kvm.toml"


def main() -> None:
    """Runs them here, whatever is recorded."""
    try:
        console, facts = run(list(EXPERIMENTS))
        print(read(console, EXPERIMENTS, facts, live=True))
    except MachineError as error:
        sys.exit(str(error))
    if "--record" in sys.argv[1:]:
        TARGET.write_text(recording(facts, console), encoding="utf-8")
        print(TARGET)


if __name__ == "__main__":
    main()
