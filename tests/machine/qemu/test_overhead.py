"""The memory of a QEMU process beside its guest's: in books made by hand, and in those of real processes."""
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.machine.leftovers import nothing_left
from virtlab.machine.owning import MachineError
from virtlab.machine.qemu import overhead as module
from virtlab.machine.qemu.overhead import CASES, beside, measure_overhead, recorded_overhead

SMAPS = """55d0c0000000-55d0c0100000 r-xp 00000000 fe:00 1234                       /usr/bin/qemu-system-x86_64
Size:               1024 kB
Rss:                 512 kB
Pss:                 256 kB
Pss_Dirty:             0 kB
Anonymous:             8 kB
VmFlags: rd ex mr mw me
7fdb45fff000-7fdb4dfff000 rw-s 00000000 00:01 35189                      /memfd:memory-backend-memfd (deleted)
Size:             131072 kB
Rss:              131072 kB
Pss:              131072 kB
7ffd00000000-7ffd00021000 rw-p 00000000 00:00 0                          [stack]
Size:                132 kB
Rss:                  12 kB
Pss:                  12 kB
Anonymous:            12 kB
7ffd00100000-7ffd00200000 rw-p 00000000 00:00 0
Size:               1024 kB
Rss:                   4 kB
Pss:                   4 kB
"""
STATUS = "Name:\tqemu-system-x86\nVmSize:\t  133252 kB\nVmPTE:\t     472 kB\n"


def test_fake_books_are_added_up_without_the_guests_memory():
    assert beside(SMAPS, STATUS) == {
        "guest_bytes": 128 << 20, "resident_bytes": 528 << 10, "own_bytes": 20 << 10, "share_bytes": 272 << 10,
        "space_bytes": 2180 << 10, "table_bytes": 472 << 10}  # fmt: skip


@pytest.mark.parametrize(("smaps", "status"), [
    ("", STATUS), (SMAPS, ""), (SMAPS.replace("memory-backend", "other"), STATUS),
    (SMAPS.replace("Rss:              131072", "Rss:              131068"), STATUS),
], ids=["none", "no tables", "no guest memory", "untouched"])  # fmt: skip
def test_fake_books_that_lack_something_are_refused(smaps, status):
    with pytest.raises(MachineError, match="does not tell"):
        beside(smaps, status)


@settings(max_examples=40)
@given(st.lists(st.one_of(st.sampled_from(SMAPS.splitlines()), st.text(max_size=60)), max_size=30))
def test_fake_books_of_any_lines_are_read_or_refused(lines):
    try:
        found = beside("\n".join(lines), STATUS)
    except MachineError:
        return
    assert all(value >= 0 for value in found.values())


def test_fake_books_without_an_end_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_LONGEST", 1000)
    (tmp_path / "smaps").write_text("x" * 2000)
    with pytest.raises(MachineError, match="does not tell"):
        module._bounded(tmp_path / "smaps")


def check(seen, machines=("pc", "microvm")):
    """The guest's page tables grow with it: 8 bytes for each 4 KiB. The rest does not; what is shared varies."""
    assert seen.complete and list(seen.cases) == [case for case in CASES if case.startswith(machines)]
    for machine in machines:
        small, large = (seen.cases[f"{machine}_{mib}"] for mib in (128, 1024))
        grown = (1024 - 128 << 20) * 8 / 4096
        assert large["table_bytes"] - small["table_bytes"] == pytest.approx(grown, rel=0.1)
        for name in ("resident_bytes", "space_bytes"):
            assert abs(large[name] - small[name]) < 0.1 * small[name]
        assert small["own_bytes"] <= small["share_bytes"] <= small["resident_bytes"] < small["space_bytes"]


def test_the_fake_or_true_recording_grows_only_by_its_page_tables():
    check(recorded_overhead())


def test_a_real_process_grows_only_by_its_page_tables(monkeypatch):
    monkeypatch.setattr(module, "CASES", {case: CASES[case] for case in CASES if case.startswith("pc")})
    with nothing_left():
        seen = measure_overhead()
    if any("may still be used" in why for why in seen.missing.values()):
        pytest.skip(str(seen.missing))
    check(seen, ("pc",))


def test_a_real_computer_without_room_says_so(monkeypatch):
    monkeypatch.setattr(module, "CASES", {"pc_128": ("pc", 1 << 30)})
    with nothing_left():
        assert "may still be used" in measure_overhead().missing["pc_128"]
