"""Writes the picture at the top of the README: the ladder lab as it opens. `make notebooks` runs it."""

from __future__ import annotations

from pathlib import Path

from virtlab.labs import LadderLab

PICTURE = Path(__file__).resolve().parent.parent / ".github" / "lab.png"


def main() -> None:
    """Draws it in the light theme, whatever the environment asks for."""
    lab = LadderLab(theme="light")
    PICTURE.write_bytes(lab.png)
    lab.close()


if __name__ == "__main__":
    main()
