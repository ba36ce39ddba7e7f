"""Architectures are compositions of the same remedies over the same baseline."""

import pytest

from virtlab.cloud import ARCHITECTURES, DUTIES, REMEDIES, Host, compose
from virtlab.core.parameter import ParameterError


def test_the_baseline_is_the_host_as_it_comes():
    assert ARCHITECTURES["qemu"].host == Host()


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_taking_every_remedy_away_leaves_only_what_is_particular(name):
    architecture = ARCHITECTURES[name]
    for remedy in architecture.remedies:
        architecture = architecture.without(remedy)
    assert architecture.host == Host(**dict(architecture.particular))


@pytest.mark.parametrize("name", REMEDIES)
def test_a_remedy_alone_changes_what_it_says_and_nothing_else(name):
    assert compose(name).host == Host(**REMEDIES[name])


def test_the_order_of_remedies_does_not_matter():
    assert compose("storage_card", "pinning").host == compose("pinning", "storage_card").host


def test_a_host_knows_the_place_of_every_duty():
    assert list(Host().places()) == list(DUTIES)


def test_what_runs_on_the_cpu_cannot_go_to_a_card():
    with pytest.raises(ParameterError, match="schedule_place must be kernel or nobody"):
        compose(schedule_place="card")


def test_an_unknown_remedy_is_named_with_those_that_exist():
    with pytest.raises(ValueError, match="no remedy 'speed'; there are huge_pages"):
        compose("speed")


def test_a_remedy_that_is_not_there_cannot_be_taken_away():
    with pytest.raises(ValueError, match="dpu has no remedy 'pinning'; it has network_card"):
        ARCHITECTURES["dpu"].without("pinning")
