"""Pages of 4 KiB against 2 MiB: really given or said not to be, in turns, in bounded memory, and all given back."""
import ctypes
import errno
import gc
import mmap
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from virtlab.core.parameter import ParameterError
from virtlab.core.words import words
from virtlab.machine import Host, measure_pages, recorded_pages
from virtlab.machine import pages as module
from virtlab.machine.measured import PAGES
from virtlab.machine.pages import HUGE_BYTES, Rounds, free_bytes, huge_bytes, mapped

MIB = 1 << 20
PARTS = {"4m": 4 * MIB, "64m": 64 * MIB, "256m": 256 * MIB}
ROUNDS = [(4.0, 2.0), (6.0, 2.0), (9.0, 3.0)]
linux = pytest.mark.skipif(not hasattr(mmap, "MADV_HUGEPAGE"), reason="needs Linux")


def mapped_bytes():
    """All that this process maps, but for the heap of Python and NumPy, which may grow."""
    rows = [line.split() for line in Path("/proc/self/maps").read_text().splitlines()]
    return sum(int(b, 16) - int(a, 16) for a, b in (row[0].split("-") for row in rows if row[-1] != "[heap]"))


def gives_huge_pages():
    try:
        with mapped(4 * MIB, huge=True) as pages:
            pages.touch()
            return huge_bytes(Path("/proc/self/smaps").read_text(), pages.start, pages.end) == 4 * MIB
    except Exception:
        return False


@pytest.fixture(scope="module")
def machine():
    if not gives_huge_pages():
        pytest.skip("no transparent huge pages here")
    if (free_bytes(Host()) or 0) < 1100 * MIB:
        pytest.skip("too little free memory")


@pytest.fixture
def host(tmp_path):
    """A computer with 8 GiB free and huge pages on request; its smaps are those of this process."""
    def computer(free_kib=8 << 20, smaps=None, **files):
        files = {"proc/meminfo": f"MemTotal: 1 kB\nMemAvailable:   {free_kib} kB\n",
                 "sys/kernel/mm/transparent_hugepage/enabled": "always [madvise] never\n", **files}  # fmt: skip
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        here = Host(system="Linux", root=tmp_path)
        if smaps is not None:
            read = here.read
            object.__setattr__(here, "read", lambda file: smaps() if file == "proc/self/smaps" else read(file))
        return here

    return computer


@pytest.fixture
def quick(monkeypatch):
    """Only small memory is mapped, so that a test of what is said costs nothing."""
    probes = {
        ("gather_4m_4k", "gather_4m_2m", "ratio_4m"): (lambda s, host: module.gather(4 * MIB, s, host), 0.5),
        ("touch_4k", "touch_2m", "ratio_touch"): (lambda s, host: module.touch(4 * MIB, s, host), 0.5),
    }
    monkeypatch.setattr(module, "PROBES", probes)


# --- the real thing -------------------------------------------------------------------------------------------------


@pytest.mark.machine
def test_this_computer_measures_every_quantity_with_its_spread(machine):
    found = measure_pages(0.2)
    assert [q.id for q in found.quantities] == list(PAGES) and found.origin == "now"
    for q in found.quantities:
        assert q.present, q
        assert 0 < q.low <= q.value <= q.high and q.n >= 5, q
        assert q.unit == ("1" if q.id.startswith("ratio") else "share" if q.id == "huge_given" else "ns")
    assert found["huge_given"].value == found["huge_given"].low == 1, "else the others would be missing"
    assert found.facts.waiting_meanwhile is not None or not Path("/proc/pressure/cpu").exists()
    # Bounds for a wrong unit or a forgotten division, on any computer and under any load.
    assert all(0.05 < found[f"gather_{part}_{page}"].value < 1e4 for part in PARTS for page in ("4k", "2m"))
    assert all(1e5 < found[f"touch_{page}"].value < 1e11 for page in ("4k", "2m"))
    assert 0.4 < found["ratio_4m"].value < 2.5, "the control: both sides do the same work"


@pytest.mark.machine
@pytest.mark.parametrize("huge", [False, True], ids=["4K", "2M"])
def test_the_kernel_gives_the_pages_that_were_asked_for(machine, huge):
    with mapped(64 * MIB, huge) as pages:
        before = huge_bytes(Path("/proc/self/smaps").read_text(), pages.start, pages.end)
        pages.touch()
        after = huge_bytes(Path("/proc/self/smaps").read_text(), pages.start, pages.end)
    assert (before, after) == (0, 64 * MIB if huge else 0)


@linux
def test_neighbours_that_are_advised_alike_stay_mappings_of_their_own():
    with mapped(4 * MIB, huge=True) as one, mapped(4 * MIB, huge=True) as two:
        smaps = Path("/proc/self/smaps").read_text()
        for pages in (one, two):
            assert f"\n{pages.start:x}-{pages.end:x} " in smaps
            assert f"-{pages.start:x} " in smaps and f"\n{pages.end:x}-" in smaps, "what is not advised, on both sides"
            assert pages.start % HUGE_BYTES == 0 and pages.end - pages.start == 4 * MIB


@linux
def test_every_page_is_touched():
    with mapped(4 * MIB, huge=False) as pages:
        pages.touch()
        assert int(pages.words.sum()) == 1024 and (pages.words[::512] == 1).all()


@linux
def test_nothing_stays_mapped(quick):
    module.measure_pages(0.05)
    gc.collect()
    before = mapped_bytes()
    module.measure_pages(0.05)
    assert mapped_bytes() - before < 4 * MIB


@linux
@pytest.mark.parametrize(("probe", "where", "at"), [
    ("gather", "touch", 1), ("gather", "touch", 2), ("gather", "_looked_at", 1), ("gather", "take_ns", 1),
    ("gather", "take_ns", 4), ("gather", "_in_turns", 1), ("gather", "_looked_at", 2),
    ("touch", "touch", 1), ("touch", "touch", 2), ("touch", "_looked_at", 1), ("touch", "_in_turns", 1),
])
def test_an_interrupt_leaves_nothing_mapped_and_reaches_the_reader(monkeypatch, host, probe, where, at):
    owner = module.Mapped if hasattr(module.Mapped, where) else module
    really, calls = getattr(owner, where), []

    def interrupted(*arguments):
        result = really(*arguments)
        calls.append(where)
        if len(calls) == at:
            raise KeyboardInterrupt
        return result

    monkeypatch.setattr(owner, where, interrupted)
    monkeypatch.setattr(module, "PROBES", {("touch_4k", "touch_2m", "ratio_touch"): (
        lambda seconds, host: getattr(module, probe)(64 * MIB, seconds, host), 1.0)})  # fmt: skip
    before = mapped_bytes()
    with pytest.raises(KeyboardInterrupt) as stopped:
        measure_pages(0.05, host(smaps=Path("/proc/self/smaps").read_text))
    assert mapped_bytes() - before < 64 * MIB, "with the traceback still alive"
    assert stopped.tb and len(calls) == at


@linux
def test_an_interrupt_while_the_memory_is_made_still_reaches_the_reader(monkeypatch, quick, host):
    def interrupted(self, view):
        self.held = view
        raise KeyboardInterrupt

    monkeypatch.setattr(module.Mapped, "__init__", interrupted)
    with pytest.raises(KeyboardInterrupt):
        measure_pages(0.05, host())


# --- what is missing, and why ---------------------------------------------------------------------------------------


@pytest.fixture
def refused(monkeypatch, quick, host):
    """The reasons for the quantities of the small probes on a changed computer."""
    def reasons(**computer):
        found = measure_pages(0.05, host(**computer))
        assert all(q.present or q.missing.endswith(".") for q in found.quantities)
        return found, {q.id: q.missing for q in found.quantities}

    return reasons


@pytest.mark.parametrize("name", ["MADV_HUGEPAGE", "MADV_NOHUGEPAGE"])
def test_a_system_without_the_advice_says_so(monkeypatch, refused, name):
    monkeypatch.delattr(module.mmap, name, raising=False)
    _, reasons = refused()
    assert set(reasons.values()) == {words("machine.why.madvise")}


def test_a_python_without_madvise_says_so(monkeypatch, refused):
    class Plain:
        """mmap.mmap of Windows."""

    monkeypatch.setattr(module.mmap, "mmap", Plain)
    assert set(refused()[1].values()) == {words("machine.why.madvise")}


@linux
def test_pages_of_another_size_are_named(monkeypatch, refused):
    monkeypatch.setattr(module.mmap, "PAGESIZE", 16 << 10)
    assert all("16 KiB" in why for why in refused()[1].values())


class Refusing(mmap.mmap):
    """Memory that takes no advice."""

    code = errno.EINVAL

    def madvise(self, *arguments):
        raise OSError(self.code, "refused")


@linux
@pytest.mark.parametrize(("code", "why"), [
    (errno.EINVAL, words("machine.why.no_thp")), (errno.EPERM, "It could not be measured (PermissionError"),
])
def test_a_kernel_without_huge_pages_or_a_sandbox_says_so_and_nothing_stays_mapped(monkeypatch, refused, code, why):
    monkeypatch.setattr(Refusing, "code", code)
    monkeypatch.setattr(module.mmap, "mmap", Refusing)
    before = mapped_bytes()
    assert all(reason.startswith(why) for reason in refused()[1].values())
    assert mapped_bytes() - before < 4 * MIB


@linux
def test_a_kernel_that_gives_none_leaves_only_the_small_pages_and_names_its_setting(monkeypatch, refused):
    monkeypatch.setattr(module, "huge_bytes", lambda smaps, start, end: 0)
    found, reasons = refused(**{"sys/kernel/mm/transparent_hugepage/enabled": "always madvise [never]\n"})
    assert found["gather_4m_4k"].present and found["touch_4k"].present
    for key in ("gather_4m_2m", "ratio_4m", "touch_2m", "ratio_touch"):
        assert "none of 4 MiB" in reasons[key] and "always madvise [never]" in reasons[key], key
    assert (found["huge_given"].value, found["huge_given"].present) == (0, True)


@pytest.mark.machine
def test_a_process_that_may_have_no_huge_pages_really_gets_none_and_says_so(machine, quick):
    prctl, disable = ctypes.CDLL(None).prctl, 41  # PR_SET_THP_DISABLE
    if prctl(disable, 1, 0, 0, 0):
        pytest.skip("the kernel knows no such switch")
    try:
        found = measure_pages(0.05)
    finally:
        prctl(disable, 0, 0, 0, 0)
    assert found["gather_4m_4k"].present and found["touch_4k"].present
    assert "none of 4 MiB" in found["touch_2m"].missing and "none of 4 MiB" in found["ratio_4m"].missing
    assert found["huge_given"].high == 0


def test_a_kernel_that_gives_some_is_not_called_2_mib(host):
    rounds = Rounds(ROUNDS, 64 * MIB, [64 * MIB, 62 * MIB])
    small, huge, ratio = module._compared(("touch_4k", "touch_2m", "ratio_touch"), rounds, host())
    assert small.present and not huge.present and not ratio.present
    assert "only 62 MiB of 64 MiB" in huge.missing and huge.missing == ratio.missing


def test_the_ratio_is_the_median_of_the_rounds_and_not_of_the_sides(host):
    rounds = Rounds(ROUNDS, 64 * MIB, [64 * MIB])
    small, huge, ratio = module._compared(("touch_4k", "touch_2m", "ratio_touch"), rounds, host())
    assert (small.value, huge.value, ratio.value, ratio.n) == (6, 2, 3, 3)
    assert (ratio.low, ratio.high) == pytest.approx((2.2, 3.0))


@linux
def test_huge_pages_that_nobody_asked_for_are_no_4_kib(monkeypatch, refused):
    monkeypatch.setattr(module, "huge_bytes", lambda smaps, start, end: 2 * MIB)
    assert refused()[1]["gather_4m_4k"] == words("machine.why.not_small")


@linux
@pytest.mark.parametrize("smaps", ["", "00400000-00500000 r-xp 0 0 0 /bin/true\nRss: 4 kB\nAnonHugePages: 0 kB\n"])
def test_a_kernel_that_does_not_say_what_it_gave_is_not_believed(refused, smaps):
    found, reasons = refused(smaps=lambda: smaps)
    assert set(reasons.values()) == {words("machine.why.smaps")}


def test_too_little_memory_is_refused_before_any_is_mapped(monkeypatch, host):
    monkeypatch.setattr(module, "mapped", lambda *_, **__: pytest.fail("mapped"))
    found = measure_pages(0.05, host(free_kib=15 << 10))
    for q in found.quantities:
        assert "more than half of the 15 MiB" in q.missing, q


@linux
def test_a_size_that_does_not_fit_is_left_out_and_the_others_are_measured(monkeypatch, host):
    sizes, really = [], module.mapped
    monkeypatch.setattr(module, "mapped", lambda size, huge: sizes.append(size) or really(size, huge))
    found = measure_pages(0.05, host(free_kib=300 << 10, smaps=Path("/proc/self/smaps").read_text))
    assert "520 MiB" in found["gather_256m_4k"].missing and "300 MiB" in found["ratio_256m"].missing
    assert found["gather_4m_4k"].present and found["gather_64m_4k"].present and found["touch_4k"].present
    assert set(sizes) == {4 * MIB, 64 * MIB}


def test_free_memory_that_is_not_told_maps_nothing(refused, host):
    assert set(refused(**{"proc/meminfo": "MemTotal: 1 kB\n"})[1].values()) == {words("machine.why.free")}


@linux
@pytest.mark.parametrize("error", [OSError(errno.ENOMEM, "Cannot allocate memory"), MemoryError()])
def test_memory_that_is_refused_becomes_a_reason(monkeypatch, refused, error):
    class Full(mmap.mmap):
        def __new__(cls, *_, **__):
            raise error

    monkeypatch.setattr(module.mmap, "mmap", Full)
    assert all(type(error).__name__ in why for why in refused()[1].values())


# --- its parts ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("files", "free_mib"), [
    ({}, 1000),
    ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/memory.max": f"{500 * MIB}\n",
      "sys/fs/cgroup/a/memory.current": f"{200 * MIB}\n"}, 300),
    ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": f"{500 * MIB}\n",
      "sys/fs/cgroup/memory.current": f"{400 * MIB}\n",
      "sys/fs/cgroup/memory.stat": f"anon 5\ninactive_file {50 * MIB}\n"}, 150),
    ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "max\n", "sys/fs/cgroup/memory.current": "9\n"}, 1000),
    ({"proc/self/cgroup": "3:cpu:/\n2:hugetlb,memory:/job\n",
      "sys/fs/cgroup/memory/job/memory.limit_in_bytes": f"{MIB}\n",
      "sys/fs/cgroup/memory/job/memory.usage_in_bytes": f"{2 * MIB}\n"}, 0),
    ({"proc/self/cgroup": "nonsense\n::\n0::/../..\n"}, 1000),
], ids=["no group", "an outer group", "files can be dropped", "no limit", "version 1", "nonsense"])
def test_what_may_still_be_used_is_the_least_of_the_computer_and_its_groups(host, files, free_mib):
    assert free_bytes(host(free_kib=1000 << 10, **files)) == free_mib * MIB


def test_only_the_mappings_inside_the_range_count():
    smaps = "\n".join(f"{a:x}-{b:x} rw-p 00000000 00:00 0 \nRss:  4 kB\nAnonHugePages:   {kib} kB\nVmFlags: rd"
                      for a, b, kib in ((0x1000, 0x2000, 1), (0x2000, 0x3000, 2), (0x3000, 0x4000, 4),
                                        (0x3000, 0x9000, 8)))  # fmt: skip
    assert huge_bytes(smaps, 0x2000, 0x4000) == 6 << 10
    assert huge_bytes(smaps, 0x5000, 0x6000) is None


@pytest.mark.parametrize("pages", [1024, 16384, 65536])
def test_a_pass_takes_one_word_from_each_page_as_often_as_from_any_other(pages):
    order = module._order(pages)
    assert order.size == 65536 and order.flags.c_contiguous
    taken = Counter((order // 512).ravel().tolist())
    assert set(taken) == set(range(pages)) and set(taken.values()) == {65536 // pages}
    assert len(np.unique(order)) == pages, "one word of each page"
    assert (np.diff(order.ravel()[:pages]) != 512).mean() > 0.9, "not one after the other"


def test_each_kind_is_first_in_every_other_round():
    turns = []
    pairs = module._in_turns(0, lambda: turns.append("4K") or 4.0, lambda: turns.append("2M") or 2.0)
    assert turns == ["4K", "2M", "2M", "4K", "4K", "2M", "2M", "4K", "4K", "2M"]
    assert pairs == [(4.0, 2.0)] * 5


@pytest.mark.parametrize("seconds", [0, -1, 11, float("nan")])
def test_a_time_out_of_range_is_explained(seconds):
    with pytest.raises(ParameterError, match=r"seconds must be 0\.05 to 10; you gave"):
        measure_pages(seconds)


def test_the_probes_have_the_ids_of_the_set_and_share_the_time():
    assert [key for keys in module.PROBES for key in keys] == list(PAGES)[:-1]
    assert sum(share for _, share in module.PROBES.values()) == pytest.approx(1)


# --- the recorded measurement ---------------------------------------------------------------------------------------


def test_the_recorded_pages_are_complete_dated_and_really_on_huge_pages():
    kept = recorded_pages()
    assert kept.origin == "recorded" and [q.id for q in kept.quantities] == list(PAGES)
    assert all(q.present and q.n >= 5 for q in kept.quantities)
    assert kept["huge_given"].low == 1
    assert "software-only KVM (kvm_pvm), two shared cores" in kept.label()
    assert kept.label().startswith(f"Recorded on {kept.facts.date}")
    assert None not in (kept.facts.waiting, kept.facts.waiting_meanwhile, kept.facts.stolen)
    assert (words("machine.noisy") in kept.label()) is kept.facts.busy


def test_the_table_tells_how_each_was_measured_and_what_remains_in_it():
    page, text = recorded_pages()._repr_html_(), str(recorded_pages())
    for q in recorded_pages().quantities:
        assert q.title in page and q.how in page and q.title in text and q.text() in text
