"""The tables that are read: each row has its words, its sources and its class, and says what the claims need."""

from __future__ import annotations

import pytest

from virtlab.evidence import CLASSES, SOURCES
from virtlab.memory import migrate
from virtlab.offload import OFFLOADED, WAYS, migration_classes
from virtlab.offload.ways import Known


def test_tcp_is_on_nobodys_card():
    assert not OFFLOADED["tcp"].on_card and OFFLOADED["checksum"].on_card


def test_each_area_of_the_article_is_there():
    assert {row.area for row in OFFLOADED.rows} == {"network", "storage", "security", "management"}
    assert sum(len(OFFLOADED.of(area).rows) for area in ("network", "storage", "security", "management")) == len(
        OFFLOADED.rows
    )


def test_nobody_and_somebody_never_stand_in_one_row():
    for row in OFFLOADED.rows:
        assert len({known.who == "nobody" for known in row.by}) == 1, row.id


@pytest.mark.parametrize("table", [OFFLOADED, WAYS, migration_classes()], ids=["offloaded", "ways", "classes"])
def test_every_row_has_words_sources_and_classes(table):
    assert len(table.table().rows) == len(table.rows)
    for row in table.rows:
        assert row.by and all(known.source in SOURCES and known.class_ in CLASSES for known in row.by), row.id


def test_a_recalled_source_is_of_class_r_and_no_other_is():
    for row in (*OFFLOADED.rows, *WAYS.rows, *migration_classes().rows):
        for known in row.by:
            assert known.source.startswith("recalled") == (known.class_ == "R"), (row.id, known)


def test_an_unknown_source_is_refused():
    with pytest.raises(ValueError, match="unknown source"):
        Known("nitro", "somewhere", "V")


def test_three_kinds_of_devices_stand_still_for_three_times():
    seen = migration_classes()
    times = [seen[kind].migration.downtime_s for kind in ("virtio", "v2", "untracked")]
    assert times == sorted(set(times)) and times[2] == pytest.approx(54.98, abs=0.005)
    assert not seen["untracked"].migration.converged


def test_they_are_those_of_migrate_with_the_same_options():
    seen = migration_classes(bandwidth_gbit_per_s=100.0)
    assert seen["v2"].migration == migrate(device="vf-v2", bandwidth_gbit_per_s=100.0)


def test_no_vf_can_be_fetched_page_by_page():
    seen = migration_classes()
    assert seen["virtio"].postcopy == "yes" and {seen[k].postcopy for k in ("untracked", "v2", "shaped")} == {"no"}


@pytest.mark.parametrize("table", [OFFLOADED, migration_classes()], ids=["offloaded", "classes"])
def test_an_unknown_row_is_named_with_the_known_ones(table):
    with pytest.raises(KeyError, match=table.rows[0].id):
        table["nonsense"]
