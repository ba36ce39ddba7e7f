"""The steps as data: every name has words, a function and a cost that exist, and the paths are in order."""

from __future__ import annotations

import re

import pytest

from virtlab.core.words import words
from virtlab.paths import LADDER, Costs, Counts, Event, PathOptions, Place, Server

STEPS = [(path.id, step) for path in LADDER.values() for step in path.steps]
SOFTWARE = re.compile(r"^[a-z][\w/.-]+\.[ch]: \w+$")
#: Hardware has no function: a few words say what it does.
HARDWARE = (Place.CARD, Place.PCIE, Place.WIRE)


def test_the_ladder_has_seven_rungs_in_order():
    assert list(LADDER) == ["qemu", "qemu-ioeventfd", "vhost-net", "vhost-user", "vdpa", "sriov", "card"]
    assert [path.rung for path in LADDER.values()] == [1, 2, 3, 4, 5, 6, 7]


def test_an_unknown_path_is_answered_with_those_that_exist():
    with pytest.raises(KeyError, match="no path 'vhost'; there are qemu, .*vhost-net"):
        LADDER["vhost"]


@pytest.mark.parametrize("path", LADDER)
def test_a_path_has_title_and_description(path):
    assert all(words(f"path.{path}.{key}") for key in ("title", "short", "long"))
    assert LADDER[path].title in repr(LADDER[path])


def test_every_step_has_words():
    missing = {step.key for _, step in STEPS if not str(words("step").get(step.key, "")).strip()}
    assert not missing, f"words/en/step.toml lacks {sorted(missing)}"


def test_no_step_has_words_in_vain():
    assert set(words("step")) == {step.key for _, step in STEPS}


def test_every_place_server_and_event_has_words():
    assert {p.value for p in Place} == set(words("place"))
    assert {s.value for s in Server} == set(words("server"))
    for event in Event:
        assert words(f"event.{event}_per_packet")


def test_every_step_in_software_names_file_and_function():
    for path, step in STEPS:
        if step.place not in HARDWARE:
            assert SOFTWARE.match(step.function), f"{path}/{step.key}: {step.function!r} is not 'file.c: function'"
        assert step.function.strip(), f"{path}/{step.key} names nothing"


def test_every_cost_of_a_step_exists():
    for path, step in STEPS:
        for name in (*step.cost, *step.delay):
            assert Costs().ns(name) >= 0, f"{path}/{step.key}: {name}"


def test_every_condition_of_a_step_is_an_option_with_that_value():
    specs = PathOptions.specs()
    for path, step in STEPS:
        for name, wanted in step.when:
            assert specs[name].kind == "bool" and wanted in (True, False), f"{path}/{step.key}: {name}={wanted!r}"


def test_every_event_has_a_counter_with_its_scope_in_the_name():
    counters = {f"{event}_per_packet" for event in Event}
    assert counters <= set(Counts.__dataclass_fields__)


def test_the_wire_is_at_the_far_end_of_each_direction():
    for path in LADDER.values():
        way = {d: [s.place for s in path.active(direction=d) if not s.aside] for d in ("tx", "rx")}
        assert (way["tx"][0], way["tx"][-1]) == (Place.GUEST, Place.WIRE), path.id
        assert (way["rx"][0], way["rx"][-1]) == (Place.WIRE, Place.GUEST), path.id


def test_work_of_the_host_never_stands_on_the_guests_place():
    hosts = {Server.BACKEND, Server.HOST}
    for path, step in STEPS:
        assert not (step.server in hosts and step.place is Place.GUEST), f"{path}/{step.key}"
