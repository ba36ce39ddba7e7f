"""Linux's own KVM, on an AMD processor that QEMU emulates: what it counts is what its source says, to the last exit."""
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.machine.leftovers import nothing_left
from virtlab.core.counts import side_by_side
from virtlab.machine.inner import EXPERIMENTS, RUNS, inner_kvm, programs, recorded_inner_kvm, running
from virtlab.machine.owning import MachineError
from virtlab.machine.presence import Host
from virtlab.paths import LADDER

guest_kernel = getattr(pytest.mark, "guest-kernel")
REASONS = ("exits.", "userspace")


@pytest.fixture(scope="module")
def counted(tmp_path_factory):
    """All experiments, in one boot."""
    with pytest.MonkeyPatch.context() as patch:
        scratch = tmp_path_factory.mktemp("scratch")
        patch.setattr(tempfile, "tempdir", str(scratch))
        with nothing_left() if sys.platform == "linux" else contextlib.nullcontext():
            result = inner_kvm(seconds=300)  # others may be busy
        if result.recorded:
            pytest.skip(result.missing)
        assert os.listdir(scratch) == []
    return result


def reasons(counts):
    return {key: n for key, n in counts.values.items() if n and (key.startswith(REASONS) or key == "signals")}


@pytest.mark.machine
@guest_kernel
@pytest.mark.parametrize("run", RUNS.values(), ids=lambda run: run.id)
def test_a_run_counts_what_its_law_says_and_nothing_else(counted, run):
    counts = counted.counts[run.id]
    assert reasons(counts) == {key: n for key, n in run.law.items() if n and not key.startswith("kvm.")}
    assert counts.only(*run.law).values == run.law
    assert counts.work == run.work and counts.unit == run.unit


@pytest.mark.machine
@guest_kernel
def test_an_ioeventfd_saves_no_exit_and_every_return_but_one(counted):
    for kind in ("pio", "mmio"):
        plain, event = counted.counts[kind], counted.counts[f"{kind}-ioeventfd"]
        exits = [{k: n for k, n in c.values.items() if k.startswith("exits.")} for c in (plain, event)]
        assert exits[0] == exits[1]
        assert (plain["userspace_returns"], event["userspace_returns"], event["signals"]) == (101, 1, 100)
        assert plain.title in str(side_by_side(plain, event)) and event.title in str(side_by_side(plain, event))


@pytest.mark.machine
@guest_kernel
def test_on_the_ladder_the_exits_stay_and_first_the_returns_go_and_then_qemu(counted):
    rungs = [counted.counts[path] for path in ("qemu", "qemu-ioeventfd", "vhost-net")]
    assert [rung.per_unit("exits.npf") for rung in rungs] == [1, 1, 1]
    assert [rung["userspace.mmio"] for rung in rungs] == [100, 0, 0], "what did not come is known to be none"
    assert [counted.carriers[path] for path in ("qemu", "qemu-ioeventfd", "vhost-net")] == [
        {"qemu": 100}, {"qemu": 100}, {"vhost": 100}]
    assert counted.counts["vhost-net-batch"].per_unit("exits.npf") == 0.04, "only batching makes fewer exits"
    assert {run: frames for run, frames in counted.carriers.items() if not RUNS[run].carrier} == {}


@pytest.mark.machine
@guest_kernel
def test_two_instruments_of_the_kernel_agree(counted):
    """KVM's statistics count the exits that its tracepoints show."""
    for run, statistics in counted.statistics.items():
        if RUNS[run].carrier:
            continue  # QEMU's own vCPU: its statistics are not read
        exits = {k: n for k, n in counted.counts[run].values.items() if k.startswith("exits.")}
        exits["exits.interrupt"] = counted.interrupts[run]
        assert sum(exits.values()) == statistics.get("exits", 0), run


@pytest.mark.machine
@guest_kernel
def test_halting_in_the_guest_turns_each_exit_by_hlt_into_one_by_the_interrupt(counted):
    outside, inside = counted.counts["hlt-exits"], counted.counts["hlt-in-guest"]
    assert (outside["exits.hlt"], inside["exits.hlt"]) == (20, 0)
    assert inside["exits.interrupt"] == counted.interrupts["hlt-in-guest"] == 20


@pytest.mark.machine
@guest_kernel
@pytest.mark.parametrize("run", [run for run in RUNS.values() if run.interval_ns], ids=lambda run: run.id)
def test_kvm_adapts_its_polling_as_its_source_says(counted, run):
    parameters = counted.facts.parameters
    assert parameters["halt_poll_ns"] == "200000" and parameters["halt_poll_ns_grow_start"] == "10000"
    expected = list(run.interval_ns)
    if run.id == "poll-mixed" and parameters["halt_poll_ns_shrink"] == "2":  # from Linux 6.12 on
        expected[6:] = [40_000, 20_000, 10_000, 0, 0, 0]
    polling = counted.polling[run.id]
    assert list(polling.interval_ns) == expected
    assert sum(polling.enough) == counted.counts[run.id]["kvm.halt_successful_poll"]
    before = [0, *polling.interval_ns[:-1]]
    assert sum(interval > 0 for interval in before) == counted.counts[run.id]["kvm.halt_attempted_poll"]


@pytest.mark.machine
@guest_kernel
def test_the_record_says_what_counted_it_and_prints_every_run(counted):
    assert counted.live and not counted.recorded and "times would mean nothing" in counted.label
    assert counted.facts.kernel in counted.label and "QEMU" in counted.label
    text, html = str(counted), counted._repr_html_()
    assert all(run.title in text and run.title in html for run in RUNS.values())
    assert "10 µs, 20 µs, 40 µs, 7 × 80 µs" in text


@pytest.mark.machine
@guest_kernel
def test_what_is_recorded_is_what_is_counted_here(counted):
    recorded = recorded_inner_kvm()
    for run in RUNS:
        assert reasons(recorded.counts[run]) == reasons(counted.counts[run])
    assert recorded.carriers == counted.carriers


# --- without a boot -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("path", "run", "batch"), [
    ("qemu", "qemu", 1), ("qemu-ioeventfd", "qemu-ioeventfd", 1), ("vhost-net", "vhost-net", 1),
    ("vhost-net", "vhost-net-batch", 25),
])  # fmt: skip
def test_the_models_ladder_says_what_the_machine_counted(path, run, batch):
    model, machine = LADDER[path].counts(kick_batch=batch), recorded_inner_kvm()
    assert model.vcpu_exits_per_packet == machine.counts[run].per_unit("exits.npf")
    assert model.userspace_exits_per_packet == machine.counts[run].per_unit("userspace_returns")
    assert model.qemu_in_datapath == ("qemu" in machine.carriers[run])


@pytest.mark.parametrize("given", [["none"], "none", []])
def test_an_unknown_experiment_is_refused_with_the_known_ones(given):
    with pytest.raises(ValueError, match=f"there are: {', '.join(EXPERIMENTS)}"):
        inner_kvm(given)


def without(monkeypatch, *programs):
    """This computer, less some programs."""
    class Less(Host):
        def which(self, *names):
            return None if set(names) & set(programs) else super().which(*names)

    monkeypatch.setattr(running, "Host", Less)


@pytest.mark.parametrize("program", ["qemu-system-x86_64", "busybox", "cc", "ldd"])
def test_where_something_is_missing_the_recorded_counts_stand_in_and_say_so(monkeypatch, program):
    without(monkeypatch, program)
    result = inner_kvm(["pio", "ladder"])
    assert result.recorded and result.label.startswith("Recorded on 20") and result.missing in result.label
    assert list(result.counts) == [run.id for e in ("pio", "ladder") for run in EXPERIMENTS[e].runs]


def test_the_recording_itself_is_not_changed_by_that(monkeypatch):
    without(monkeypatch, "qemu-system-x86_64")
    assert inner_kvm("pio").missing and not recorded_inner_kvm().missing


compiler = pytest.mark.skipif(sys.platform != "linux" or not shutil.which("cc"), reason="no C compiler here")


@compiler
@pytest.mark.parametrize("build", [programs.monitor, programs.driver])
def test_a_compiler_that_fails_is_told(tmp_path, build):
    (tmp_path / "cc").write_text("#!/bin/sh\necho 'ld: cannot find -lc' >&2; exit 1\n")
    (tmp_path / "cc").chmod(0o755)
    with pytest.raises(MachineError, match=f"{build.__name__}.c could not be compiled .*cannot find -lc"):
        build(Host(environ={"PATH": f"{tmp_path}:/usr/bin:/bin"}))


@compiler
@pytest.mark.parametrize(("name", "options"), [("monitor.c", []), ("driver.c", ["-m32", "-ffreestanding", "-fno-pic"])])
def test_the_c_sources_compile_without_a_warning(tmp_path, name, options):
    done = subprocess.run(["cc", "-O1", "-Wall", "-Wextra", "-Werror", *options, "-c", "-o", str(tmp_path / "out.o"),
                           str(Path(programs.__file__).with_name(name))], capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(sys.platform != "linux" or not shutil.which("ldd"), reason="no ldd here")
def test_a_program_comes_with_its_libraries_and_its_loader():
    files = programs.with_libraries(Host(), shutil.which("env"), "bin/env")
    assert files["bin/env"].startswith(b"\x7fELF")
    assert any("libc.so" in name for name in files) and any("ld-" in name or "ld64" in name for name in files)


@pytest.mark.machine
@guest_kernel
def test_a_guest_that_hangs_is_an_error_with_its_console_and_not_a_recording(counted):
    with pytest.raises(MachineError, match="not done after 1 s"):
        inner_kvm("pio", seconds=1)
