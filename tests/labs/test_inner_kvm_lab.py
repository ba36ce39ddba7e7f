"""The inner KVM lab: what Linux's own KVM counted stands beside the model's number, and only counts stand there."""
from dataclasses import replace

import pytest
from matplotlib.colors import to_hex

from tests.figures.reading import moving_texts, outside, overlapping, still_texts
from tests.labs.conftest import in_light
from tests.machine.leftovers import nothing_left
from virtlab import labs
from virtlab.core.words import say, words
from virtlab.evidence import FACTS
from virtlab.labs import InnerKvmLab
from virtlab.labs import inner_kvm as module
from virtlab.machine.inner import RUNS, recorded_inner_kvm
from virtlab.machine.owning import MachineError
from virtlab.memory import footprint
from virtlab.paths import LADDER

SUBJECTS = ("exits", "halt", "pages", "ladder")
LINUX_6 = {"halt_poll_ns": 200_000, "halt_poll_ns_grow": 2, "halt_poll_ns_grow_start": 10_000, "halt_poll_ns_shrink": 0}


@pytest.fixture
def lab():
    return in_light(InnerKvmLab)


def bars(lab):
    return {(row.key, bar.kind): bar for row in lab.result.rows for bar in row.bars}


def changed(record, run, **counts):
    """The record with other counts of one run."""
    old = record.counts[run]
    new = replace(old, values={**old.values, **{key.replace("__", "."): n for key, n in counts.items()}})
    return replace(record, counts={**record.counts, run: new})


def test_it_is_one_of_the_labs_and_opens_with_the_recording(monkeypatch):
    monkeypatch.setattr(module, "inner_kvm", lambda **_: pytest.fail("booted without being asked"))
    assert "InnerKvmLab" in labs.__all__
    lab = InnerKvmLab()
    assert lab.measured is recorded_inner_kvm() and "Recorded on " in lab.describe()


# ------------------------------------------------- the counts beside the model

@pytest.mark.parametrize("subject", SUBJECTS)
def test_every_recorded_count_is_what_the_model_says(lab, subject):
    lab.subject = subject
    assert all(bar.agrees for bar in bars(lab).values()) and all(stair.agrees for stair in lab.result.stairs)
    assert "equal the model's" in lab.describe() and "≠" not in lab.describe()


@pytest.mark.parametrize("subject", SUBJECTS)
def test_a_bar_has_all_that_was_counted_and_nothing_else(lab, subject):
    """The record's own sums are the oracle."""
    lab.subject = subject
    scopes = {"exits": "exits.", "4k": "exits.", "2m": "exits.", "returns": "userspace.", "wakeups": "kvm.halt_wakeup"}
    for (key, kind), bar in bars(lab).items():
        run = f"{key}-{kind}" if kind in ("4k", "2m") else key
        scope = "kvm.dirty_pages" if key == "log" else scopes[kind]
        values = lab.measured.counts[run].values
        assert bar.counted == sum(n for name, n in values.items() if name.startswith(scope)), run
        assert all(str(n) in bar.said() and reason in bar.said() for reason, n in bar.parts)


@pytest.mark.parametrize(("subject", "key"), [("exits", "pio"), ("halt", "hlt-exits"), ("ladder", "vhost-net-batch")])
def test_the_models_exits_are_those_of_the_experiments_law(lab, subject, key):
    """Written by somebody else, from the source of KVM."""
    lab.subject = subject
    law = RUNS[key].law
    assert bars(lab)[key, "exits"].model == sum(n for name, n in law.items() if name.startswith("exits."))


def test_an_ioeventfd_saves_returns_and_no_exit(lab):
    found = bars(lab)
    for kind in ("pio", "mmio"):
        assert found[kind, "exits"].counted == found[f"{kind}-ioeventfd", "exits"].counted == 102
        assert found[kind, "returns"].counted == 101 and found[f"{kind}-ioeventfd", "returns"].counted == 1
    assert "100 eventfd signals" in lab.describe()


def test_the_models_pages_are_those_of_the_memory_models(lab):
    lab.subject = "pages"
    found = bars(lab)
    for kind, page in (("4k", "4K"), ("2m", "2M")):
        assert found["first", kind].work == footprint(memory_bytes=2 << 20, host_page=page).first_touch_exits
        assert found["again", kind].work == found["logged-again", kind].work == 0
        assert found["logged", kind].work == found["log", kind].work == found["after-log", kind].work == 512


def test_a_newer_linux_puts_huge_pages_back_by_itself():
    assert module.modelled_pages("unlogged", "2M", (6, 12)) == (1, 1)
    assert module.modelled_pages("unlogged", "2M", (6, 13)) == (0, 0)
    assert module.modelled_pages("unlogged", "4K", (6, 1)) == (0, 0)
    assert FACTS["dirty.recover.in_place"].source.year == 2024


@pytest.mark.parametrize(("text", "version"), [("Linux 6.1.0-56-cloud-amd64", (6, 1)), ("Linux 6.12-rc3", (6, 12)),
                                               ("Linux", (0, 0))])  # fmt: skip
def test_the_version_of_a_kernel_is_read_from_its_name(text, version):
    assert module.linux(text) == version


def test_the_ladder_is_that_of_the_paths(lab):
    lab.subject = "ladder"
    found = bars(lab)
    for path in ("qemu", "qemu-ioeventfd", "vhost-net"):
        counts = LADDER[path].counts()
        assert found[path, "exits"].model == 100 * counts.vcpu_exits_per_packet
        assert found[path, "returns"].model == 100 * counts.userspace_exits_per_packet
        who = "QEMU" if counts.qemu_in_datapath else "vhost"
        assert f"{who} carries 100 frames" in found[path, "returns"].said()
    assert found["vhost-net-batch", "exits"].counted == 4


# ------------------------------------------------- halt polling

@pytest.mark.parametrize(("waits_us", "intervals_us"), [
    ([5] * 4, [10] * 4), ([50] * 6, [10, 20, 40, 80, 80, 80]), ([150] * 6, [10, 20, 40, 80, 160, 160]),
    ([199] * 6, [10, 20, 40, 80, 160, 200]), ([200] * 4, [0] * 4), ([250] * 4, [0] * 4),
    ([50] * 6 + [1000] * 3, [10, 20, 40, 80, 80, 80, 0, 0, 0]),
])  # fmt: skip
def test_polling_follows_the_source_of_kvm(waits_us, intervals_us):
    found, _ = module.halt_polling(tuple(1000 * us for us in waits_us), LINUX_6)
    assert found == tuple(1000 * us for us in intervals_us)


def test_a_newer_kvm_gives_up_polling_in_halves():
    rules = LINUX_6 | {"halt_poll_ns_shrink": 2}
    found, _ = module.halt_polling((50_000,) * 6 + (1_000_000,) * 6, rules)
    assert found[5:] == (80_000, 40_000, 20_000, 10_000, 0, 0, 0)


def test_a_wait_ends_while_kvm_polls_if_it_is_no_longer_than_the_interval_before_it():
    _, enough = module.halt_polling((10_000, 10_000, 10_001), LINUX_6)
    assert enough == (False, True, False)


def test_the_waits_are_those_that_the_guest_is_given():
    assert module.waits_ns("poll-60us") == (60_000,) * 10
    assert module.waits_ns("poll-mixed") == (60_000,) * 6 + (1_000_000,) * 6


def test_a_kvm_that_does_not_tell_its_rules_is_shown_without_a_model(lab, monkeypatch):
    record = recorded_inner_kvm()
    facts = replace(record.facts, parameters={"halt_poll_ns": "200000"})
    monkeypatch.setattr(module, "inner_kvm", lambda **_: replace(record, facts=facts))
    lab.measure()
    lab.subject = "halt"
    assert all(stair.model_ns is None and stair.agrees for stair in lab.result.stairs)
    assert "did not tell its rules" in lab.describe() and "All 4 equal" in lab.describe()


# ------------------------------------------------- the picture

@pytest.mark.parametrize("subject", SUBJECTS)
def test_the_bars_are_as_long_as_the_counts_and_end_at_the_models_line(lab, subject):
    lab.subject = subject
    picture = lab._picture
    for i, row in enumerate(lab.result.rows):
        for k, bar in enumerate(row.bars):
            shown = [r for r in picture._bars[i, k] if r.get_visible()]
            assert [r.get_width() / picture.per_count for r in shown] == pytest.approx([n for _, n in bar.parts])
            assert {to_hex(r.get_facecolor()) for r in shown} <= {picture.look.place[bar.place]}
            end = max([r.get_x() + r.get_width() for r in shown], default=302.0)
            assert picture._marks[i, k].get_xdata()[0] - end == pytest.approx(2)
            assert picture._models[i, k].get_text() == f"= {bar.modelled()}"
            assert picture._said[i, k].get_text() == bar.said()
    for i in range(len(lab.result.rows), 7):
        assert not any(r.get_visible() for k in range(2) for r in picture._bars[i, k])


def test_the_stairs_are_drawn_where_kvm_polled(lab):
    lab.subject = "halt"
    for drawn, stair in zip(lab._picture._stairs_seen, lab.result.stairs, strict=True):
        top, height = 352, 130
        assert [200_000 * (top + height - y) / height for y in drawn.get_ydata()] == pytest.approx(list(stair.seen_ns))
    lab.subject = "exits"
    assert not any(line.get_visible() for line in lab._picture._stairs_seen)


def test_what_differs_from_the_model_is_seen_and_said(lab, monkeypatch):
    record = changed(recorded_inner_kvm(), "pio", exits__io=107)
    record = replace(record, polling={**record.polling, "poll-60us": record.polling["poll-150us"]})
    monkeypatch.setattr(module, "inner_kvm", lambda **_: replace(record, live=True))
    lab.measure()
    assert "Not equal to the model's: out to a port (exits)." in lab.describe()
    assert lab._picture._models[0, 0].get_text() == "≠ 100 + 2"
    lab.subject = "halt"
    assert f"Not equal to the model's: {words('inner_kvm.run.poll-60us')}." in lab.describe()


def test_a_kept_recording_is_a_ghost_behind_the_same_run(lab, monkeypatch):
    lab.keep()
    record = changed(recorded_inner_kvm(), "pio", exits__io=50)
    monkeypatch.setattr(module, "inner_kvm", lambda **_: replace(record, live=True))
    lab.measure()
    ghost = lab._picture._ghosts[0, 0]
    assert ghost.get_visible() and max(ghost.get_xdata()) == pytest.approx(302 + 102 * lab._picture.per_count)
    lab.subject = "ladder"
    assert not any(g.get_visible() for g in lab._picture._ghosts.values())
    assert words("inner_kvm_lab.no_ghost") in dict(moving_texts(lab._picture))


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_long_label_with_what_is_missing_overlaps_nothing(monkeypatch, theme):
    monkeypatch.setattr("virtlab.labs.base.Lab.scale", 1.0)
    record = replace(recorded_inner_kvm(), missing=say("inner_kvm.why.compiler", names="cc, gcc, clang"))
    monkeypatch.setattr(module, "inner_kvm", lambda **_: record)
    lab = InnerKvmLab(theme=theme)
    lab.measure()
    for subject in SUBJECTS:
        lab.subject = subject
        found = moving_texts(lab._picture)
        assert not outside(lab._picture, found) and not overlapping(still_texts(lab._picture) + found)
        assert record.missing in lab.describe(), "the reason is one sentence, and it is there"


# ------------------------------------------------- the button

def test_the_button_replaces_the_recording_and_reset_brings_it_back(lab, monkeypatch):
    opened = lab.png
    monkeypatch.setattr(module, "inner_kvm", lambda **_: replace(recorded_inner_kvm(), live=True))
    lab._buttons["measure"].click()
    assert lab.result.live and "Counted now by the KVM of" in lab.describe() and lab.png != opened
    lab.reset()
    assert not lab.result.live and lab.png == opened


def test_a_guest_that_fails_is_one_sentence_and_changes_nothing(lab, monkeypatch):
    def hangs(**_):
        raise MachineError("The guest did not power off within 1 s.")

    opened = lab.png, lab.describe()
    monkeypatch.setattr(module, "inner_kvm", hangs)
    lab.measure()
    assert lab.error is None and (lab.png, lab.describe()) == opened
    assert "The guest did not power off within 1 s." in lab._text.value and "Traceback" not in lab._text.value


def test_the_help_of_the_button_says_how_long_it_takes(lab):
    assert "15 seconds" in lab._buttons["measure"].tooltip


@pytest.mark.machine
@getattr(pytest.mark, "guest-kernel")
def test_the_button_boots_a_real_kvm_that_counts_what_is_recorded_and_leaves_nothing(lab, monkeypatch):
    monkeypatch.setattr(module, "inner_kvm", lambda seconds: real(module._EXPERIMENTS["pages"], seconds=300))
    lab.subject = "pages"
    recorded = bars(lab)
    with nothing_left():
        lab.measure()
    if not lab.measured.live:
        pytest.skip(lab.measured.missing)
    assert bars(lab) == recorded and "All 14 equal the model's" in lab.describe()


real = module.inner_kvm
