"""The walk, reference by reference: 36 golden cells, every cache, the addresses, and the exits of a first touch."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import settings_of
from virtlab.core.parameter import ParameterError
from virtlab.evidence import FACTS
from virtlab.memory.touch import first_touch_exits
from virtlab.memory.walk import WalkOptions, walk

PAGES = ("4K", "2M", "1G")
CACHES = ("none", "PML5E", "PML4E", "PDPTE", "PDE")  # each holds what the one before it holds, and more
#: Rows: guest 4K, 2M, 1G; columns: host 4K, 2M, 1G.
GOLDEN = {
    (4, 4): ((24, 19, 14), (19, 15, 11), (14, 11, 8)),
    (4, 5): ((29, 24, 19), (23, 19, 15), (17, 14, 11)),
    (5, 4): ((29, 23, 17), (24, 19, 14), (19, 15, 11)),
    (5, 5): ((35, 29, 23), (29, 24, 19), (23, 19, 15)),
}
CELLS = [
    (guest, guest_page, host, host_page, GOLDEN[guest, host][row][column])
    for guest, host in GOLDEN
    for row, guest_page in enumerate(PAGES)
    for column, host_page in enumerate(PAGES)
]
OPTIONS = settings_of(WalkOptions)


# --- how many ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("guest_levels", "guest_page", "host_levels", "host_page", "references"), CELLS)
def test_the_36_cells_are_golden(guest_levels, guest_page, host_levels, host_page, references):
    found = walk(guest_levels=guest_levels, guest_page=guest_page, host_levels=host_levels, host_page=host_page)
    assert len(found.references) == references


@pytest.mark.parametrize(("levels", "golden"), [(4, (4, 3, 2)), (5, (5, 4, 3))])
def test_bare_metal_walks_one_dimension(levels, golden):
    counts = tuple(walk(guest_levels=levels, guest_page=page, nested_paging=False).count for page in PAGES)
    assert counts == golden


@pytest.mark.parametrize(("host_levels", "golden"), [(4, (4, 3, 2)), (5, (5, 4, 3))])
def test_without_guest_paging_the_hosts_walk_is_left(host_levels, golden):
    found = [walk(guest_paging=False, host_levels=host_levels, host_page=page) for page in PAGES]
    assert tuple(w.count for w in found) == golden
    assert {r.space for w in found for r in w.references} == {"host"}


def test_the_numbers_that_are_often_told_are_not_the_answer():
    assert walk().count == 24
    assert walk(guest_levels=5, host_levels=5).count == 35  # not 30, not 34


def test_levels_are_not_symmetrical_where_the_pages_differ():
    five_in_guest = walk(guest_levels=5, host_levels=4, guest_page="4K", host_page="2M")
    five_in_host = walk(guest_levels=4, host_levels=5, guest_page="4K", host_page="2M")
    assert (five_in_guest.count, five_in_host.count) == (23, 24)
    assert walk(guest_levels=5, host_levels=4).count == walk(guest_levels=4, host_levels=5).count == 29


@pytest.mark.parametrize(("fact", "page"), [("walk.m26.refs.4k", "4K"), ("walk.m26.refs.2m", "2M")])
def test_the_count_is_the_published_one(fact, page):
    assert walk(guest_page=page, host_page=page).count == FACTS[fact].value


@pytest.mark.parametrize("table_page", PAGES)
@pytest.mark.parametrize("host_page", PAGES)
def test_mixed_backing_walks_tables_and_data_each_with_their_own_page(table_page, host_page):
    entries = {"4K": 4, "2M": 3, "1G": 2}
    found = walk(table_page=table_page, host_page=host_page)
    assert found.count == 4 * (entries[table_page] + 1) + entries[host_page]


def test_tables_are_backed_like_the_data_until_something_else_is_said():
    assert walk(host_page="2M").references == walk(host_page="2M", table_page="2M").references


def _entries_read(o: WalkOptions) -> int:
    """The walk as a recursion that knows nothing of lists: to read a guest entry, find its table; to find, walk."""
    below = {"4K": 0, "2M": 1, "1G": 2}
    lowest = {"PML5E": 5, "PML4E": 4, "PDPTE": 3, "PDE": 2}

    def cached(cache: str, level: int, leaf: int) -> bool:
        return cache != "none" and level >= max(lowest[cache], leaf + 1)

    def find(page: str, known: bool) -> int:
        if known or not o.nested_paging:
            return 0
        leaf = below[page] + 1
        return sum(not cached(o.host_cache, level, leaf) for level in range(leaf, o.host_levels + 1))

    def read(level: int, leaf: int) -> int:
        """References to get the guest's entry at this level, those to its parents included."""
        if cached(o.guest_cache, level, leaf):
            return 0
        if level == o.guest_levels:
            parents, pointer_cached = 0, False
        else:
            parents, pointer_cached = read(level + 1, leaf), cached(o.guest_cache, level + 1, leaf)
        tables = o.host_page if o.table_page == "host" else o.table_page
        return parents + find(tables, pointer_cached or o.nested_tlb_tables) + 1

    leaf = below[o.guest_page] + 1
    return (read(leaf, leaf) if o.guest_paging else 0) + find(o.host_page, o.nested_tlb_data)


@given(OPTIONS)
def test_the_list_is_as_long_as_a_recursion_counts(options):
    assert walk(options).count == _entries_read(options), options


@given(OPTIONS)
def test_the_list_is_as_long_as_its_formula_says(options):
    counted, by_formula = walk(options).law()
    assert counted == by_formula, options


def test_the_formula_is_the_textbooks_where_nothing_is_cached_or_mixed():
    for guest, guest_page, host, host_page, _ in CELLS:
        g, h = guest - PAGES.index(guest_page), host - PAGES.index(host_page)
        options = {"guest_levels": guest, "guest_page": guest_page, "host_levels": host, "host_page": host_page}
        assert walk(**options).law()[1] == (g + 1) * (h + 1) - 1


# --- caches --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cached", "references"),
    [
        ({}, 24),
        ({"guest_cache": "PML5E"}, 24),  # four levels have no such entry
        ({"guest_cache": "PML4E"}, 15),
        ({"guest_cache": "PDPTE"}, 10),
        ({"guest_cache": "PDE"}, 5),
        ({"guest_cache": "PDE", "host_cache": "PDE"}, 2),
        ({"guest_cache": "PDE", "nested_tlb_data": True}, 1),
        ({"nested_tlb_tables": True}, 8),
        ({"nested_tlb_tables": True, "nested_tlb_data": True}, 4),
    ],
)
def test_each_cache_leaves_what_is_golden(cached, references):
    assert walk(**cached).count == references


def test_a_warm_walk_takes_one_to_five_references():
    warm = [
        walk(guest_cache="PDE", host_cache=host, nested_tlb_data=data).count
        for host in CACHES
        for data in (False, True)
    ]
    assert 1 <= min(warm) and max(warm) <= 5


def test_an_entry_that_maps_a_page_is_never_in_the_cache():
    huge = walk(guest_page="2M", guest_cache="PDE")
    assert huge.references == walk(guest_page="2M", guest_cache="PDPTE").references
    assert "gPDE" in [r.entry for r in huge.references]


@given(OPTIONS, st.sampled_from(["guest_page", "host_page", "guest_cache", "host_cache"]), st.data())
def test_a_larger_page_or_a_fuller_cache_never_adds_a_reference(options, name, data):
    order = PAGES if name.endswith("page") else CACHES
    small, large = sorted(data.draw(st.lists(st.sampled_from(range(len(order))), min_size=2, max_size=2)))
    before = walk(options.replace(**{name: order[small]}))
    after = walk(options.replace(**{name: order[large]}))
    assert after.count <= before.count, f"{name}: {order[small]} to {order[large]}"


@given(OPTIONS, st.sampled_from(["nested_tlb_tables", "nested_tlb_data"]))
def test_a_nested_tlb_never_adds_a_reference(options, name):
    assert walk(options.replace(**{name: True})).count <= walk(options.replace(**{name: False})).count


@given(OPTIONS)
def test_free_host_walks_are_bare_metal(options):
    free = walk(options.replace(nested_tlb_tables=True, nested_tlb_data=True))
    native = walk(options.replace(nested_paging=False, guest_depth=1))
    assert [r.entry for r in free.references] == [r.entry for r in native.references]


@given(OPTIONS)
def test_what_caches_save_is_the_cold_walk_less_what_is_left(options):
    found = walk(options)
    cold = walk(options.replace(guest_cache="none", host_cache="none", nested_tlb_tables=False, nested_tlb_data=False))
    cells = {(r.row, r.column, r.address) for r in found.references + found.skipped}
    assert cells == {(r.row, r.column, r.address) for r in cold.references}
    assert found.cold == cold.count and found.final == cold.final
    assert all(r.skipped_by and r.number == 0 for r in found.skipped)
    assert not any(r.skipped_by for r in found.references)


def test_each_skipped_reference_names_the_cache_that_saved_it():
    found = walk(guest_cache="PML4E", host_cache="PDE", nested_tlb_data=True)
    saved = {(r.entry, r.target): r.skipped_by for r in found.skipped}
    assert saved["gPML4E", 4] == saved["hPTE", 4] == saved["hPTE", 3] == "guest_cache"
    assert saved["hPDE", 2] == "host_cache"
    assert saved["hPTE", 0] == "nested_tlb"


# --- in which order, and where -------------------------------------------------------------------------------------


def test_the_cold_walk_in_order():
    host = ["hPML4E", "hPDPTE", "hPDE", "hPTE"]
    expected = [entry for guest in ("gPML4E", "gPDPTE", "gPDE", "gPTE") for entry in (*host, guest)] + host
    assert [r.entry for r in walk().references] == expected
    assert [r.number for r in walk().references] == list(range(1, 25))


@given(OPTIONS)
def test_a_grid_holds_each_reference_in_a_place_of_its_own(options):
    found = walk(options)
    places = [(r.column, r.row) for r in found.references + found.skipped]
    assert len(set(places)) == len(places)
    assert all(0 <= column <= options.guest_levels and 0 <= row <= options.host_levels for column, row in places)


def test_columns_are_the_guests_levels_then_the_data_and_the_guest_reads_below():
    found = walk(guest_page="2M", host_page="1G")
    assert list(dict.fromkeys(r.column for r in found.references)) == [4, 3, 2, 0]
    assert [r.row for r in found.references] == [4, 3, 0] * 3 + [4, 3]


@given(OPTIONS)
def test_a_guest_entry_is_chosen_by_the_bits_of_the_virtual_address(options):
    found = walk(options)
    for r in found.references + found.skipped:
        if r.space == "guest":
            assert r.index == options.virtual_address >> (12, 21, 30, 39, 48)[r.level - 1] & 0x1FF
            assert r.address == r.table_address + 8 * r.index and r.table_address % 4096 == 0


@given(OPTIONS)
def test_no_two_tables_pages_or_entries_share_an_address(options):
    found = walk(options)
    tables: dict[int, set[tuple]] = {}
    for r in found.references + found.skipped:
        tables.setdefault(r.table_address, set()).add((r.space, r.level, r.target if r.space == "guest" else None))
    assert all(len(owners) == 1 for owners in tables.values()), "a frame is a table of one level of one side"
    assert found.final & -4096 not in tables, "the data lies in no table"


@pytest.mark.parametrize("guest_page", PAGES)
@pytest.mark.parametrize(("table_page", "host_page"), list(itertools.product(PAGES, PAGES)))
def test_data_and_tables_never_meet_wherever_in_its_page_the_data_lies(guest_page, table_page, host_page):
    for address in range(0, 0x8000, 0x1000):
        found = walk(guest_page=guest_page, table_page=table_page, host_page=host_page, virtual_address=address)
        assert found.final & -4096 not in {r.table_address for r in found.references}, hex(address)


@given(OPTIONS)
def test_a_host_walk_starts_at_one_root_and_each_entry_leads_to_a_table_of_its_own(options):
    found = walk(options)
    host = [r for r in found.references + found.skipped if r.space == "host"]
    leads_to: dict[int, int] = {}
    for target in {r.target for r in host}:
        steps = sorted((r for r in host if r.target == target), key=lambda r: -r.level)
        assert [r.level for r in steps] == list(range(options.host_levels, steps[-1].level - 1, -1))
        for upper, lower in itertools.pairwise(steps):
            assert leads_to.setdefault(upper.address, lower.table_address) == lower.table_address
    assert len(set(leads_to.values())) == len(leads_to), "two entries lead to one table"
    assert len({r.table_address for r in host if r.level == options.host_levels}) <= 1


def test_the_same_entry_may_be_read_again_and_is_then_at_the_same_address():
    roots = [r.address for r in walk().references if r.entry == "hPML4E"]
    assert len(roots) == 5 and len(set(roots)) == 1


@pytest.mark.parametrize("page", PAGES)
def test_the_walk_ends_at_the_byte_within_its_page(page):
    address, inside = 0x0080_8060_4028, {"4K": 0xFFF, "2M": 0x1F_FFFF, "1G": 0x3FFF_FFFF}[page]
    found = walk(guest_page=page, host_page=page, virtual_address=address)
    assert found.final & inside == address & inside
    assert walk(guest_page=page, nested_paging=False, virtual_address=address).final & inside == address & inside


# --- a guest in a guest --------------------------------------------------------------------------------------------


@given(settings_of(WalkOptions, nested_paging=True))
def test_a_guest_in_a_guest_walks_two_dimensions_as_a_guest_does(options):
    one, two = (walk(options.replace(guest_depth=depth)) for depth in (1, 2))
    assert one.references == two.references
    assert len(two.first_touch) > len(one.first_touch)


def test_a_first_touch_is_one_exit_of_a_guest_and_four_or_more_of_a_guest_in_a_guest():
    assert [e.reason for e in first_touch_exits(1)] == ["EPT_VIOLATION"]
    always = [(e.leaves, e.reason, e.handler) for e in first_touch_exits(2) if e.always]
    assert always == [
        ("L2", "EPT_VIOLATION", "L1"),  # by way of L0, which every exit reaches first
        ("L1", "EPT_VIOLATION", "L0"),
        ("L1", "VMRESUME", "L0"),
        ("L2", "EPT_VIOLATION", "L0"),
    ]


def test_every_exit_of_a_first_touch_says_where_kvm_handles_it_and_what_happens():
    for touch in first_touch_exits(1) + first_touch_exits(2):
        assert ".c: " in touch.function or ".h: " in touch.function
        assert touch.text.endswith(".") and touch.evidence in "VR"


def test_bare_metal_has_no_exit_and_no_guest_to_nest():
    assert walk(nested_paging=False).first_touch == ()
    with pytest.raises(ParameterError, match="guest_depth must be 1 when nested_paging is False: bare metal"):
        walk(nested_paging=False, guest_depth=2)
    with pytest.raises(ParameterError, match="guest_depth must be 1 or 2; you gave 3"):
        first_touch_exits(3)


# --- what a reader sees --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"guest_levels": 3}, "guest_levels must be 4 or 5; you gave 3: x86-64 has"),
        ({"host_page": "4M"}, "host_page must be 4K or 2M or 1G; you gave '4M'"),
        ({"virtual_address": 1 << 47}, "virtual_address must be 0 to .*: a program has the lower half"),
        ({"level": 4}, "there is no parameter 'level'"),
    ],
)
def test_wrong_options_are_refused_in_a_sentence_that_teaches(wrong, message):
    with pytest.raises(ParameterError, match=message):
        walk(**wrong)


def test_options_come_as_one_object_or_by_name():
    options = WalkOptions(guest_page="2M")
    assert walk(options, host_page="2M").count == walk(guest_page="2M", host_page="2M").count == 15


def test_a_walk_prints_one_row_a_reference_with_its_address():
    table = walk().table()
    assert len(table.rows) == 24 and "24 references (24 cold)" in table.caption
    assert table.rows[0][:3] == ("1", "hPML4E", "to find the guest's PML4 table")
    assert "bare metal" in str(walk(nested_paging=False)) and "without paging" in str(walk(guest_paging=False))


@given(OPTIONS)
def test_every_reference_has_words(options):
    for r in walk(options).references:
        assert r.text.startswith(f"the {r.space}'s {r.entry[1:]} is read ")
