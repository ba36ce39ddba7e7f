"""The facts, sources and claims as they stand: walked one by one."""

from __future__ import annotations

import importlib
import math
import pkgutil
import re

import pytest

import virtlab
from virtlab import offload
from virtlab.cloud import ARCHITECTURES, placement
from virtlab.core.parameter import Parameters
from virtlab.evidence import CLAIMS, CLASSES, FACTS, SOURCES, Fact, find

ID = re.compile(r"^[a-z0-9]+([._-][a-z0-9_]+)*$")


@pytest.mark.parametrize("fact", FACTS.values(), ids=lambda f: f.id)
def test_every_fact_has_a_number_a_unit_conditions_a_class_and_a_source(fact):
    assert ID.match(fact.id), "an id is lower case and dotted"
    assert fact.quantity.strip() and fact.unit.strip() and fact.unit != "%"
    assert fact.conditions.strip(), f"{fact.id} does not say under which conditions"
    assert fact.evidence in CLASSES and fact.evidence != "U"
    assert fact.source == SOURCES[fact.source.id]
    assert math.isfinite(fact.value) and fact.low <= fact.value <= fact.high


@pytest.mark.parametrize("fact", [f for f in FACTS.values() if f.evidence == "R"], ids=lambda f: f.id)
def test_every_recalled_fact_says_where_to_look(fact):
    assert len(fact.note.removeprefix("recalled; look in ")) > 10


#: A derived fact whose note names other facts: those exist. (A bare formula in numbers names none.)
DERIVED = [f for f in FACTS.values() if f.evidence == "D"]


@pytest.mark.parametrize("fact", DERIVED, ids=lambda f: f.id)
def test_every_fact_that_a_derivation_names_exists(fact):
    prefixes = {key.split(".")[0] for key in FACTS}
    named = re.findall(r"(?<![/\w])[a-z][a-z0-9_]*(?:\.[a-z0-9_]+)+\b", fact.note)
    lost = [n for n in named if n.split(".")[0] in prefixes and n not in FACTS]
    assert not lost, f"{fact.id} derives from {lost}"


def _computed(note: str) -> float | None:
    """The value of a note that begins with a formula of facts and numbers; None where it begins with words."""
    formula = re.split(r"[.;:](?: |$)| \((?=[a-z])", note, maxsplit=1)[0]
    values = re.sub(r"\b[a-z][\w.]*", lambda name: repr(FACTS[name[0]].value) if name[0] in FACTS else name[0], formula)
    values = re.sub(r"(?<=\d) Mpps", "e6", values)
    values = re.sub(r"(?<=\d) [A-Za-z][A-Za-z/]*", "", values)  # units: "8 lanes", "128 B"
    if not re.fullmatch(r"[\d.e+*/() -]+", values) or not re.search(r"[*/+-]", values):
        return None
    try:
        return float(eval(values))  # digits and operators only
    except SyntaxError:
        return None


@pytest.mark.parametrize("fact", [f for f in DERIVED if _computed(f.note) is not None], ids=lambda f: f.id)
def test_a_derivation_that_is_a_formula_gives_the_value(fact):
    value = _computed(fact.note)
    thousands = [k for k in range(-12, 13, 3) if value / 10.0**k == pytest.approx(fact.value, rel=0.006, abs=1e-3)]
    assert thousands, f"{fact.id}: {fact.note} gives {value:g}, the fact says {fact.value:g} {fact.unit}"


def test_most_derivations_are_formulas_that_were_checked():
    choices = [f for f in DERIVED if f.source.id == "course"]
    checked = [f for f in DERIVED if _computed(f.note) is not None]
    assert len(checked) > 0.6 * (len(DERIVED) - len(choices))


@pytest.mark.parametrize("source", SOURCES.values(), ids=lambda s: s.id)
def test_every_source_has_title_year_and_address(source):
    assert source.title.strip() and source.address.strip()
    assert 1950 < source.year < 2100


def test_no_source_stands_in_vain():
    rows = (*offload.OFFLOADED.rows, *offload.WAYS.rows, *offload.migration_classes().rows)
    tables = {known.source for row in rows for known in row.by}
    tables |= {cell.known.source for name in ARCHITECTURES for cell in placement(name)}
    assert {f.source.id for f in FACTS.values()} | tables == set(SOURCES)


def test_there_are_the_24_claims():
    assert list(CLAIMS) == [f"S{k}" for k in range(1, 25)]


@pytest.mark.parametrize("claim", CLAIMS.values(), ids=lambda c: c.id)
def test_every_claim_has_a_text_a_class_and_notebooks_that_exist_in_the_course(claim):
    assert claim.text.strip().endswith(".") and claim.evidence in CLASSES
    assert claim.notebooks and all(re.match(r"^(0\d|1[0-6])$", n) for n in claim.notebooks)


@pytest.mark.parametrize("claim", CLAIMS.values(), ids=lambda c: c.id)
def test_every_claim_names_a_judge_that_exists(claim):
    assert callable(claim.judge_function())


# --- parameters name facts -----------------------------------------------------------------------------------------


def _parameters() -> list[type[Parameters]]:
    for module in pkgutil.walk_packages(virtlab.__path__, "virtlab."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    found: list[type[Parameters]] = []
    queue = [Parameters]
    while queue:
        for cls in queue.pop().__subclasses__():
            queue.append(cls)
            found.append(cls)
    return sorted((c for c in found if c.__module__.startswith("virtlab.")), key=lambda c: c.__qualname__)


SPECS = [(cls, spec) for cls in _parameters() for spec in cls.specs().values()]


@pytest.mark.parametrize(("cls", "spec"), SPECS, ids=[f"{c.__name__}.{s.name}" for c, s in SPECS])
def test_every_default_is_the_value_of_its_fact(cls, spec):
    fact: Fact = FACTS[spec.fact]
    if spec.kind == "choice":
        assert spec.default in spec.choices
    elif spec.follows:
        assert spec.default is None and spec.follows in cls.specs()
    elif spec.kind == "bool":
        assert spec.default == bool(fact.value), f"{cls.__name__}.{spec.name}: {fact.id} says {fact.value:g}"
    else:
        assert spec.default == fact.value, f"{cls.__name__}.{spec.name}: {fact.id} says {fact.value:g}"


#: A unit that ends the name of a parameter, as facts write it.
UNITS = {"_ns": "ns", "_cycles": "cycles", "_ghz": "GHz", "_gbit_per_s": "Gb/s", "_gbyte_per_s": "GB/s", "_bytes": "B",
         "_packets_per_s": "packets/s", "_usd": "USD"}  # fmt: skip


@pytest.mark.parametrize(("cls", "spec"), SPECS, ids=[f"{c.__name__}.{s.name}" for c, s in SPECS])
def test_the_unit_in_a_name_is_the_unit_of_the_fact(cls, spec):
    ends = [unit for end, unit in UNITS.items() if spec.name.endswith(end)]
    if ends:
        assert spec.unit in ends, f"{cls.__name__}.{spec.name} is in {spec.unit}"


@pytest.mark.parametrize(("cls", "spec"), SPECS, ids=[f"{c.__name__}.{s.name}" for c, s in SPECS])
def test_every_parameter_has_words(cls, spec):
    assert spec.label.strip() and spec.help.strip() and spec.why.strip(), f"parameter.toml: [{spec.name}]"


# --- how facts are asked and shown ---------------------------------------------------------------------------------


def test_an_unknown_fact_is_answered_with_where_to_look():
    with pytest.raises(KeyError, match="no fact 'exit.none'; see `virtlab facts`"):
        FACTS["exit.none"]
    assert "exit.none" not in FACTS


def test_a_fact_prints_quantity_figure_conditions_class_and_source():
    text = str(FACTS["io.kvm.rr.poll"])
    assert "27 µs (26.7 µs to 27 µs)" in text and "2015" in text and "[V]" in text


def test_a_fact_without_interval_shows_none():
    fact = FACTS["exit.m01.pio.qemu"]
    assert not fact.is_interval and fact.text() == "5,287 cycles"
    assert FACTS["pcie.m52.data"].is_interval


def test_an_interval_without_figure_shows_no_middle_and_says_that_the_middle_is_derived():
    fact = FACTS["overhead.gregg.hardware"]
    assert fact.middle and fact.value == pytest.approx(0.008)
    assert fact.text() == "0.1 % to 1.5 %" and "0.8" not in str(fact)
    assert fact.cite().startswith("[V]") and "middle is derived [D]" in fact.cite()


@pytest.mark.parametrize("id", ["io.kvm.rr.poll", "exit.m01.pio.qemu"])
def test_a_published_figure_is_not_taken_for_a_middle(id):
    assert not FACTS[id].middle and "derived" not in FACTS[id].cite()


#: Facts whose unit is a bare number although they belong to a family of shares: factors.
FACTORS = {"overhead.gregg.software", "overhead.eli.gain"}


@pytest.mark.parametrize(
    "fact",
    [f for f in FACTS.values() if f.id.startswith(("overhead.", "mix.", "article.loss")) and f.id not in FACTORS],
    ids=lambda f: f.id,
)
def test_losses_and_shares_read_as_per_cent(fact):
    assert fact.unit != "1", f"{fact.id} is a share or a loss: its unit is share"
    assert fact.unit != "share" or (fact.high <= 1 and fact.text().endswith("%") or "%)" in fact.text())


@pytest.mark.parametrize(
    ("id", "words"),
    [
        ("host.wakeup", ["vCPU only", "estimate", "include leaving C1"]),
        ("iommu.m50.miss", ["no VM", "mapped once", "IOTLB misses"]),
        ("overhead.iommu.strict", ["no VM", "mapped once"]),
        ("io.accelnet.latency", ["one way or there and back", "not stated"]),
        ("kvm.apicv.default", ["Intel", "AVIC"]),
        ("kvm.avic.default", ["Zen 4 with x2AVIC"]),
        ("poller.packet", ["floor for vhost-user"]),
        ("io.virtio.rr.p50", ["Guest and host are not stated"]),
    ],
)
def test_a_note_says_what_the_figure_cannot_carry(id, words):
    assert all(word in FACTS[id].note for word in words), FACTS[id].note


@pytest.mark.parametrize(
    ("id", "value"),
    [
        ("io.nvme.ioeventfd.qd1.off", 35e3), ("io.nvme.ioeventfd.qd1.on", 41e3),
        ("io.nvme.ioeventfd.qd64.off", 153e3), ("io.nvme.ioeventfd.qd64.on", 313e3), ("io.blk.tuned.added", 10),
        ("io.blk.vhost.host.write", 85300), ("io.blk.vhost.qemu.write", 79400), ("io.blk.vhost.vhost.write", 84300),
        ("io.blk.vhost.ramdisk.virtio.vcpu1", 123e3), ("io.blk.vhost.ramdisk.virtio.vcpu2", 253e3),
        ("io.blk.vhost.ramdisk.virtio.vcpu4", 158e3), ("io.blk.vhost.ramdisk.vhost.vcpu1", 110e3),
        ("io.blk.vhost.ramdisk.vhost.vcpu2", 247e3), ("io.blk.vhost.ramdisk.vhost.vcpu4", 576e3),
    ],
)  # fmt: skip
def test_block_io_as_published(id, value):
    assert (FACTS[id].value, FACTS[id].evidence) == (value, "V")


@pytest.mark.parametrize("claim", CLAIMS.values(), ids=lambda c: c.id)
def test_no_claim_is_called_right_or_wrong(claim):
    assert not re.search(r"\b(right|wrong|true|false)\b", f"{claim.text} {claim.note}", re.IGNORECASE), claim.note


def test_a_claim_has_the_class_of_its_weakest_part():
    assert CLAIMS["S10"].evidence == "U" and "weakest part" in CLAIMS["S10"].note


def test_the_boot_times_of_s17_are_those_of_the_facts():
    times = {FACTS[f"overhead.boot.{vmm}"].value for vmm in ("fc", "chv", "qemu", "microvm")}
    said = [float(n) for n in re.findall(r"\b\d{3}\b", CLAIMS["S17"].note)]
    assert sorted(said) == pytest.approx(sorted(times), abs=1)


def test_facts_are_found_by_id_quantity_or_conditions_in_any_case():
    assert len(find().rows) == len(FACTS)
    assert {r[0] for r in find("TCP_RR").rows} >= {"io.kvm.rr.nopoll", "io.virtio.rr.p50"}
    assert {r[0] for r in find("xdp_drop").rows} >= {"io.vhost.testpmd.before"}
    assert find("no such thing").rows == ()
