"""Every place and every number has a source and a class; a slogan is no measurement."""

import pytest

from virtlab.cloud import ARCHITECTURES, DUTIES, compose, placement, side_by_side, vendor_numbers
from virtlab.core.parameter import ParameterError
from virtlab.evidence import CLASSES, SOURCES

SLOGANS = ("vendor.nitro.indistinguishable", "vendor.cipu.zero", "vendor.qingtian.loss", "vendor.qingtian.reserved")


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_place_of_every_architecture_has_class_and_source(name):
    cells = placement(name)
    assert [cell.duty for cell in cells] == [*DUTIES, "tcp", "migration"]
    for cell in cells:
        assert cell.known is not None
        assert cell.known.source in SOURCES
        assert cell.class_ in CLASSES
        assert cell.place in cell.text() or cell.class_ in cell.text()


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_what_is_only_recalled_is_never_verified(name):
    for cell in placement(name):
        assert (cell.class_ == "R") == cell.known.source.startswith("recalled")


def test_no_card_runs_the_tenants_tcp():
    assert {placement(name)[-2].place for name in ARCHITECTURES} == {"guest"}


def test_what_a_reader_changed_is_nobodys_statement():
    cells = {cell.duty: cell for cell in placement(ARCHITECTURES["nitro"].without("storage_card"))}
    assert cells["storage"].known is None
    assert cells["switch"].class_ == "V"
    assert all(cell.known is None for cell in placement(compose("network_card")))


def test_slogans_are_marketing_and_fall_out_of_the_filter_for_evidence():
    kinds = {row.fact.id: row.kind for row in vendor_numbers().rows}
    assert {kinds[slogan] for slogan in SLOGANS} == {"marketing"}
    kept = vendor_numbers().of("specification", "measurement")
    assert not {row.fact.id for row in kept.rows} & set(SLOGANS)


def test_what_only_the_article_says_is_unfound_and_has_class_u():
    for row in vendor_numbers().rows:
        assert (row.kind == "unfound") == (row.class_ == "U") == (row.fact.source.id == "article")


def test_the_filters_part_the_rows():
    numbers = vendor_numbers()
    assert sum(numbers.counts().values()) == len(numbers.rows)
    assert sum(len(numbers.of(kind).rows) for kind in numbers.counts()) == len(numbers.rows)
    assert sum(len(numbers.by(name).rows) for name in ARCHITECTURES) == len(numbers.rows)


def test_side_by_side_says_where_two_differ():
    both = side_by_side("nitro", "qingtian")
    assert "device_model" in both.differ()
    assert "switch" not in both.differ()
    table = both.table()
    assert len(table.headers) == 3
    assert all("[" in cell for cell in table.rows[0][1:])


def test_an_architectures_table_names_every_source():
    rows = ARCHITECTURES["nitro"].table().rows
    assert len(rows) == len(DUTIES) + 2
    assert all(class_ and source for _, _, class_, source in rows)


@pytest.mark.parametrize("names", [("nitro",), ("nitro", "nitro"), ("nitro", "xen")])
def test_side_by_side_needs_two_that_exist(names):
    with pytest.raises(ParameterError):
        side_by_side(*names)
