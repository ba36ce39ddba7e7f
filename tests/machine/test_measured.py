"""A measurement as a file: it is read as it was written, and a damaged or hostile one is refused."""
import tomllib

import pytest

from virtlab.machine import (
    Facts,
    Measured,
    Quantity,
    recorded,
    recorded_calls,
    recorded_ciphers,
    recorded_copies,
    recorded_pages,
    recorded_rivals,
    recorded_switches,
    recorded_waiting,
)
from virtlab.machine.measured import (
    CALLS,
    CIPHERS,
    COPIES,
    COSTS,
    JITTER,
    PAGES,
    RIVALS,
    SWITCHES,
    UNITS,
    WAITING,
    load,
)

FACTS = '[facts]\ncpu = "c"\ncores = 2\nkernel = "k"\ndate = "2026-11-23"\n'
QUANTITY = '[[quantity]]\nid = "syscall"\nvalue = 2.0\nlow = 1.0\nhigh = 3.0\nn = 7\n'


def read(tmp_path, text):
    (tmp_path / "kept.toml").write_text(text, encoding="utf-8")
    return load(tmp_path / "kept.toml")


def test_a_measurement_is_written_and_read_again(tmp_path):
    facts = Facts('AMD "EPYC" \\ µ', 1, "Linux 6", "2026-11-23", False, None, 0.0, 0.25, note="两核")
    quantities = Quantity("syscall", 1.5, 1.0, 2.0, 7), Quantity("touch_2m", missing='"No."')
    written = Measured(quantities, facts, "recorded")
    assert read(tmp_path, written.toml()) == written


@pytest.mark.parametrize("kept", [
    recorded, recorded_pages, recorded_copies, recorded_waiting, recorded_rivals, recorded_switches, recorded_calls,
    recorded_ciphers,
])
def test_a_recorded_file_survives_being_written_again(tmp_path, kept):
    assert read(tmp_path, kept().toml()) == kept() and kept() is kept()
    assert tomllib.loads(kept().toml())["facts"]["cores"] == kept().facts.cores


def test_the_sets_share_no_id_and_each_has_its_unit():
    sets = COSTS, PAGES, COPIES, WAITING, SWITCHES, RIVALS, JITTER, CALLS, CIPHERS
    assert len(UNITS) == sum(map(len, sets))
    assert {key: Quantity(key).unit for key in UNITS} == {key: unit for units in sets for key, unit in units.items()}


@pytest.mark.parametrize("quantity", [
    QUANTITY, QUANTITY.replace("2.0", "2"), "[[quantity]]\nid = 'syscall'\nmissing = 'No.'",
])
def test_a_plain_file_is_read(tmp_path, quantity):
    assert read(tmp_path, FACTS + quantity)["syscall"].unit == "ns"


HOSTILE = {
    "no TOML": "[facts",
    "empty": "",
    "no facts": QUANTITY,
    "no quantities": FACTS,
    "facts of another kind": "facts = 3\n" + QUANTITY,
    "quantities of another kind": "quantity = {id = 'syscall'}\n" + FACTS,
    "a quantity that is no table": "quantity = ['syscall']\n" + FACTS,
    "an unknown field": FACTS + QUANTITY + "code = 'x'\n",
    "an unknown fact": FACTS + "owner = 'x'\n" + QUANTITY,
    "a fact is missing": FACTS.replace('cpu = "c"\n', "") + QUANTITY,
    "no id": FACTS + QUANTITY.replace('id = "syscall"\n', ""),
    "an unknown id": FACTS + QUANTITY.replace("syscall", "../syscall"),
    "an id of another kind": FACTS + QUANTITY.replace('"syscall"', "['syscall']"),
    "the same id twice": FACTS + QUANTITY + QUANTITY,
    "a text as number": FACTS + QUANTITY.replace("2.0", "'2.0'"),
    "a truth value as number": FACTS + QUANTITY.replace("n = 7", "n = true"),
    "not a number": FACTS + QUANTITY.replace("2.0", "nan"),
    "infinite": FACTS + QUANTITY.replace("3.0", "inf"),
    "a number too large for a float": FACTS + QUANTITY.replace("3.0", "9" * 400),
    "a number too large to read": FACTS + QUANTITY.replace("3.0", "9" * 5000),
    "negative": FACTS + QUANTITY.replace("1.0", "-1.0"),
    "outside its spread": FACTS + QUANTITY.replace("2.0", "4.0"),
    "no samples": FACTS + QUANTITY.replace("n = 7", "n = 0"),
    "missing and measured": FACTS + QUANTITY + "missing = 'No.'\n",
    "a share above one": FACTS + "stolen = 1.5\n" + QUANTITY,
    "a share that is no number": FACTS + "waiting = nan\n" + QUANTITY,
    "no cores": FACTS.replace("2\n", "0\n") + QUANTITY,
    "virtual is no truth value": FACTS + "virtual = 'yes'\n" + QUANTITY,
    "nested without end": FACTS + "note = " + "[" * 30_000,
    "endless": FACTS + QUANTITY + "#" * 70_000,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_file_is_refused(tmp_path, text):
    with pytest.raises((ValueError, TypeError)):
        read(tmp_path, text)


def test_a_file_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "kept.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError):
        load(tmp_path / "kept.toml")
