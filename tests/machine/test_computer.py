"""The facts of the computer and its noise: read before and after a measurement, kept with it, and said."""
import platform
from dataclasses import replace

import pytest

from virtlab.core.words import words
from virtlab.machine import Facts, Host, Measured, measure, probes
from virtlab.machine import computer as module
from virtlab.machine.computer import look_at, watch
from virtlab.machine.measured import BUSY, BUSY_MEANWHILE, COSTS

CALM = Facts("c", 1, "k", "d", waiting=0.0, waiting_meanwhile=0.0, stolen=0.0)


def linux(root, **files):
    """A computer whose /proc has these files."""
    for name, text in files.items():
        path = root / "proc" / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Host(system="Linux", root=root)


def pressure(total_us, avg10=0):
    return f"some avg10={avg10} avg60=1.00 avg300=0.00 total={total_us}\nfull avg10=0.00 total=7\n"


def stat(user, idle, steal):
    return f"cpu  {user} 0 0 {idle} 0 0 0 {steal} 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\nintr 5\n"


@pytest.fixture
def second(monkeypatch):
    """The clock says that one second passed between each two looks."""
    ticks = iter(range(10**9, 10**12, 10**9))
    monkeypatch.setattr(module, "now", lambda: next(ticks))


@pytest.mark.parametrize(("cpuinfo", "cpu", "virtual"), [
    ("model name : Xeon\nflags : fpu hypervisor\n\nmodel name : other\nflags : fpu\n", "Xeon", True),
    ("model name\t: EPYC\nflags\t\t: fpu svm\n", "EPYC", False),
    ("processor : 0\nBogoMIPS : 50\n", None, None),
    ("", None, None),
])
def test_the_facts_are_read_from_cpuinfo(tmp_path, cpuinfo, cpu, virtual):
    facts = look_at(linux(tmp_path, cpuinfo=cpuinfo))
    assert facts.virtual is virtual and facts.cpu == (cpu or platform.processor() or platform.machine())


@pytest.mark.parametrize(("text", "waiting"), [
    (pressure(1, avg10=83.50), 0.835), ("", None), ("some avg10=?", None),
])
def test_the_pressure_on_the_cpus_is_read_and_said(tmp_path, text, waiting):
    facts = look_at(linux(tmp_path, pressure__cpu=text))
    assert facts.waiting == waiting and facts.busy is (waiting is not None and waiting > BUSY)
    assert (words("machine.noisy") in Measured((), facts).label()) is facts.busy


def test_waiting_meanwhile_is_what_the_counter_rose_by_in_the_time_of_the_measurement(tmp_path, second):
    ended = watch(linux(tmp_path, pressure__cpu=pressure(5_000_000)))
    linux(tmp_path, pressure__cpu=pressure(5_250_000))
    facts = ended()
    assert facts.waiting == 0 and facts.waiting_meanwhile == pytest.approx(0.25)
    assert facts.busy and "25 %" in facts.noise()


def test_stolen_time_is_a_share_of_what_was_wanted_and_idle_cpus_do_not_hide_it(tmp_path):
    ended = watch(linux(tmp_path, stat=stat(user=1000, idle=50_000, steal=10)))
    linux(tmp_path, stat=stat(user=1060, idle=90_000, steal=50))
    facts = ended()
    assert facts.stolen == pytest.approx(40 / (60 + 40))
    assert facts.busy and "40 %" in facts.noise()


@pytest.mark.parametrize("text", [
    "", "cpu\n", "cpu 1 2 3\n", "cpu a b c d e f g h\n", "cpu -1 0 0 0 0 0 0 0\n", "intr 1 2 3 4 5 6 7 8\n",
])
def test_a_kernel_that_tells_no_times_has_no_stolen_share(tmp_path, text):
    assert watch(linux(tmp_path, stat=text))().stolen is None


def test_counters_that_stand_still_or_run_backwards_are_no_noise(tmp_path, second):
    files = {"stat": stat(1000, 1000, 10), "pressure__cpu": pressure(900)}
    assert watch(linux(tmp_path, **files))().stolen is None, "no CPU time was wanted"
    ended = watch(linux(tmp_path, **files))
    linux(tmp_path, stat=stat(1100, 1000, 5), pressure__cpu=pressure(100))
    facts = ended()
    assert facts.stolen == facts.waiting_meanwhile == 0


def test_a_system_that_tells_nothing_is_not_called_noisy_and_says_nothing(tmp_path):
    facts = watch(Host(system="Windows", root=tmp_path))()
    assert (facts.waiting, facts.waiting_meanwhile, facts.stolen) == (None, None, None)
    assert not facts.busy and facts.noise() == ""
    assert str(Measured((), facts)).count("\n") == 2, "caption and head only"


@pytest.mark.parametrize(("field", "limit"), [
    ("waiting", BUSY), ("waiting_meanwhile", BUSY_MEANWHILE), ("stolen", BUSY),
])
def test_each_noise_alone_is_called_noisy_above_its_limit(field, limit):
    assert not replace(CALM, **{field: limit}).busy
    noisy = Measured((), replace(CALM, **{field: limit + 0.01}))
    assert words("machine.noisy") in noisy.label() and words("machine.noisy") in str(noisy)


def test_the_noise_stands_below_the_table_as_text_and_as_html():
    measured = Measured((), replace(CALM, waiting=0.03, stolen=0.5))
    for shown in (str(measured), measured._repr_html_()):
        assert "3 % of the ten seconds before" in shown and "50 % of the wanted CPU time" in shown


def test_the_costs_of_this_computer_carry_the_noise_before_and_meanwhile(monkeypatch):
    order = []
    monkeypatch.setattr(probes, "watch", lambda: order.append("before") or (lambda: order.append("after")))
    monkeypatch.setattr(probes, "_careful", lambda key, seconds: order.append(key))
    measure(0.05)
    assert order == ["before", *COSTS, "after"]
