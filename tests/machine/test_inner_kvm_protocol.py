"""What the monitor prints, read strictly, whatever else is on the console; and the file of recorded results."""
import io
from dataclasses import dataclass

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from virtlab.machine.inner import EXPERIMENTS, RUNS, recorded_inner_kvm
from virtlab.machine.inner.protocol import parse
from virtlab.machine.inner.result import Facts, load, recording
from virtlab.machine.owning import MachineError

WANTED = {"pio": ["pio"]}
GOOD = [
    "virtlab:kvm parameter halt_poll_ns 200000",
    "virtlab:kvm count pio pio exits.io 100",
    "virtlab:kvm count pio pio signals 7",
    "virtlab:kvm list pio pio polled 0 1 1",
    "virtlab:kvm end pio 3",
]
TOLD = {"exits.io": 100, "signals": 7}
noise = st.lists(st.one_of(
    st.text(),
    st.text().map(lambda text: f"virtlab:kvm {text}"),
    st.sampled_from(["virtlab:kvm", "virtlab:kvm count", "virtlab:kvm count pio pio exits.io -1",
                     "virtlab:kvm count pio pio exits.io 1e9", "virtlab:kvm count pio pio exits.io 9999999999999999",
                     "virtlab:kvm count pio other exits.io 1", "virtlab:kvm count other pio exits.io 1",
                     "virtlab:kvm count pio pio exits. 1", "virtlab:kvm count pio pio ../etc 1",
                     "virtlab:kvm count pio pio exits.io ١", "virtlab:kvm list pio pio polled",
                     "virtlab:kvm end other 3", "[    3.1] virtlab:kvm count pio pio exits.npf 1"]),
), max_size=12)  # fmt: skip


def test_the_runs_of_an_experiment_are_read():
    report = parse(GOOD, WANTED)
    assert report.experiments["pio"]["pio"].counts == TOLD
    assert report.experiments["pio"]["pio"].lists == {"polled": (0, 1, 1)}
    assert report.parameters == {"halt_poll_ns": "200000"}


@given(st.lists(noise, min_size=6, max_size=6))
def test_whatever_stands_between_the_lines_changes_nothing(between):
    console = [line for lines, good in zip(between, [*GOOD, None], strict=True) for line in (*lines, good) if line]
    assume(not any(line.startswith("virtlab:kvm failed") for line in console))  # that is an answer too
    assert parse(console, WANTED).experiments["pio"]["pio"].counts == TOLD


@given(st.lists(st.one_of(noise, st.just(GOOD)), max_size=5))
def test_any_console_is_read_or_refused(pieces):
    try:
        report = parse([line for piece in pieces for line in piece], WANTED)
    except MachineError:
        return
    assert report.experiments["pio"]["pio"].counts == TOLD


@pytest.mark.parametrize("lost", range(1, 5))
def test_a_lost_line_is_noticed(lost):
    with pytest.raises(MachineError, match="did not tell all of: pio"):
        parse([line for n, line in enumerate(GOOD) if n != lost], WANTED)


def test_a_line_that_the_kernel_wrote_into_is_noticed():
    torn = [GOOD[0], GOOD[1][:20] + "[    4.2] clocksource: ..." + GOOD[1][20:], *GOOD[2:]]
    with pytest.raises(MachineError, match="pio"):
        parse(torn, WANTED)


def test_the_monitors_own_error_is_told():
    with pytest.raises(MachineError, match="in experiment pio: KVM_RUN: Bad address"):
        parse([*GOOD[:2], "virtlab:kvm failed pio KVM_RUN: Bad address"], WANTED)


# --- the plan and the recording -------------------------------------------------------------------------------------


def test_every_experiment_is_a_plan_of_known_steps_and_its_runs_have_titles():
    steps = {"experiment", "memory", "disable-exits", "halt-poll", "irqchip", "ioeventfd", "store", "vcpu", "log",
             "read-log", "run", "program"}
    for e in EXPERIMENTS.values():
        assert {line.split()[0] for line in e.plan().splitlines()} <= steps
        assert e.title and all(run.title and run.law for run in e.runs)
        told = [line.split()[1] for line in e.plan().splitlines() if line.startswith(("run ", "read-log ", "program "))]
        assert told == [run.id for run in e.runs]
    assert len(RUNS) == sum(len(e.runs) for e in EXPERIMENTS.values()), "no two runs have one id"


def test_the_recording_holds_the_law_of_every_run():
    recorded = recorded_inner_kvm()
    assert list(recorded.counts) == list(RUNS)
    for run in RUNS.values():
        assert recorded.counts[run.id].only(*run.law).values == run.law, run.id
        assert recorded.polling.get(run.id) is None or not run.interval_ns or (
            recorded.polling[run.id].interval_ns == run.interval_ns)
    assert recorded.recorded and not recorded.live


@dataclass
class Text:
    text: str

    def open(self, encoding):
        return io.StringIO(self.text)


FACTS = Facts("Linux 6.1", 'QEMU "7.2" ünd', "2026-11-26", {})


def test_what_is_recorded_is_read_again():
    source = load(Text(recording(FACTS, ["noise", *every_line()])))
    assert (source.facts.kernel, source.facts.qemu, source.facts.date) == (FACTS.kernel, FACTS.qemu, FACTS.date)
    assert source.facts.parameters == {"halt_poll_ns": "200000"}
    assert all(source.counts[run]["kvm.dirty_pages" if run.startswith("log-") else "exits.hlt"] == 1 for run in RUNS)


def every_line():
    """A console on which every run counted one thing once."""
    yield GOOD[0]
    for e in EXPERIMENTS.values():
        for run in e.runs:
            key = "kvm.dirty_pages" if run.id.startswith("log-") else "exits.hlt"
            yield f"virtlab:kvm count {e.id} {run.id} {key} 1"
        yield f"virtlab:kvm end {e.id} {len(e.runs)}"


@pytest.mark.parametrize("damage", [
    lambda text: "",
    lambda text: text[:len(text) // 2],
    lambda text: text.replace("kernel =", "kern ="),
    lambda text: text.replace('"2026-11-26"', "7"),
    lambda text: text.replace("exits.hlt 1", "exits.hlt 1" * 3, 1),
    lambda text: text + "# " + "x" * (1 << 16),
    lambda text: text + "more = 'x'\n",
])  # fmt: skip
def test_a_damaged_recording_is_refused(damage):
    with pytest.raises((ValueError, TypeError, MachineError)):
        load(Text(damage(recording(FACTS, every_line()))))
