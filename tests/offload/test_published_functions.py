"""Functions of real cards, as their owners published them: the model says the same of buses and of what fails."""

from __future__ import annotations

from virtlab.evidence import FACTS
from virtlab.offload import card, functions

_82599 = {"vf_stride": 2, "bus": int(FACTS["sriov.82599.bus"].value), "port_buses": 1}


def test_the_82599_finds_its_vfs_on_its_own_bus_with_ari():
    """82599 with an offset of 128: one VF could be enabled below a port that has bus 0x83 alone."""
    seen = functions(vfs=1, vf_offset=int(FACTS["sriov.82599.offset.ari"].value), **_82599)
    assert seen.fits and seen.buses == 1
    assert functions(vfs=63, vf_offset=128, **_82599).fits, "63 VFs of one port end at function 252"


def test_the_82599_needs_bus_0x84_without_ari_and_linux_refuses():
    """The report: can't enable 1 VFs (bus 84 out of range of [bus 83])."""
    seen = functions(vfs=1, vf_offset=int(FACTS["sriov.82599.offset.plain"].value), ari=False, **_82599)
    assert seen.options.routing_id(1) >> 8 == 0x84
    assert not seen.fits and seen.first.id == "ids"


def test_bluefields_504_virtio_vfs_fit_into_buses_and_interrupts():
    """What its document offers is bound by the card itself: neither buses nor one remapping table end there."""
    seen = functions(vfs=int(FACTS["card.bluefield.vfs"].value))
    assert seen.fits and seen.buses == 2 and seen["interrupts"].most > 504


def test_the_only_public_block_that_holds_1024_has_twice_as_many():
    assert functions()["card_vfs"].limit == FACTS["pcie.ptile.functions"].value == 2 * 1024


def test_the_pipeline_is_within_a_factor_of_two_of_published_packet_rates():
    """24 to 30 Mpps of large instances (recalled): the model's 40 Mpps are 1.3 to 1.7 times as many; 75 of a CX-5."""
    most = card().options.packets_per_s_most
    ena, cx5 = FACTS["io.ena.pps"], FACTS["io.cx5.deliver"]
    assert 0.5 < ena.low / most < 1 < cx5.value / most < 2
