"""Measured series over time: small tables that were published, each with its source and what was done to it."""

from __future__ import annotations

import csv
import functools
from dataclasses import dataclass
from importlib import resources

from virtlab.evidence import SOURCES, Source

#: The series by name: file, column, source.
_FILES = {"azure": ("azure_vm_2019.csv", "busy_vcpus", "azure-vm-2019")}


@dataclass(frozen=True)
class Series:
    """``values`` at equal distances, in the unit and with the steps that the source's title tells."""

    values: tuple[float, ...]
    source: Source


@functools.cache
def series(name: str) -> Series:
    """The measured series ``name``. Raises KeyError for one that is not there."""
    file, column, source = _FILES[name]
    text = (resources.files("virtlab.evidence") / "data" / "series" / file).read_text(encoding="utf-8")
    return Series(tuple(float(row[column]) for row in csv.DictReader(text.splitlines())), SOURCES[source])
