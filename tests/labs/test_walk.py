"""What only the labs of the walk do: playing, the cell that both mark, and what was published for a bill."""
import pytest

from tests.labs.conftest import from_the_browser, widgets_of
from virtlab.evidence import FACTS
from virtlab.labs import MmuLab, WalkCostLab, WalkLab, WalkMapLab
from virtlab.memory import break_even_updates_per_s, walk


@pytest.fixture
def played():
    lab = WalkLab()
    yield lab
    lab.close()


def test_each_count_of_the_player_is_one_step(played):
    for step in (1, 2, 24):
        before = played.redraws
        from_the_browser(played._player, value=step)
        assert played.step == step and played.redraws == before + 1
        assert f"Step {step} of 24" in played.describe()


def test_the_player_goes_on_from_where_the_step_was_put(played):
    played.step = 7
    assert played._player.value == 7
    from_the_browser(played._player, value=8)
    assert played.step == 8


def test_the_player_ends_where_the_walk_ends(played):
    played.guest_cache = "PDE"
    assert played._player.max == 5
    played.step = 30
    assert played._player.value == 5 and played.step == 30
    played.guest_cache = "none"
    assert (played._player.max, played._player.value, played.step) == (24, 24, 30)


def test_the_button_starts_and_stops_the_player_and_has_a_name(played):
    button, player = played._play_button, played._player
    assert button.description and button.tooltip
    from_the_browser(button, value=True)
    assert player.playing
    from_the_browser(player, playing=False)  # the end is reached
    assert not button.value


def test_no_control_without_a_name_can_be_reached(played):
    """The player's own buttons are icons only."""
    assert played._player.layout.display == "none"
    assert {played._player, played._play_button} <= set(widgets_of(played))


@pytest.mark.parametrize("step", [24, 25, 35])
def test_beyond_the_end_is_the_end(played, step):
    played.step = step
    assert played.result.position == 24
    assert "Step 24 of 24: the host's PTE is read to find the data" in played.describe()


def test_bare_metal_has_no_guest_in_a_guest(played):
    played.set(guest_depth=2)
    assert "takes 5 exits" in played.describe() and played.result.walk.count == 24
    played.set(nested_paging=False)
    assert "takes 0 exits" in played.describe() and played.result.walk.count == 4


def test_the_way_ends_at_the_data_and_passes_every_read(played):
    played.step = 0
    x, y = played._picture._path.get_data()
    assert (x[-1], y[-1]) == (played._picture._data_text.get_position())
    stops = set(zip(x, y, strict=True))
    for reference in walk().references:
        cell = played._picture._cells[reference.column, reference.row]
        assert (cell.get_x() + cell.get_width() / 2, cell.get_y() + cell.get_height() / 2) in stops


def test_the_map_marks_what_the_walk_shows():
    values = {"guest_levels": 5, "guest_page": "2M", "host_page": "1G", "guest_cache": "PML4E"}
    lab, chart = WalkLab(**values), WalkMapLab(**values)
    assert lab.result.walk.count == chart.result.counts[chart.result.marked] == sum(chart.result.parts)


def test_the_map_is_the_golden_table():
    blocks = WalkMapLab().result.counts
    side = [(levels, page) for levels in (4, 5) for page in ("4K", "2M", "1G")]
    rows = [[blocks[(*guest, *host)] for host in side] for guest in side]
    assert rows == [
        [24, 19, 14, 29, 24, 19], [19, 15, 11, 23, 19, 15], [14, 11, 8, 17, 14, 11],
        [29, 23, 17, 35, 29, 23], [24, 19, 14, 29, 24, 19], [19, 15, 11, 23, 19, 15],
    ]  # fmt: skip


@pytest.mark.parametrize("setting, side, low, high, bound", [
    ({}, "virtual", 508, 509, True),
    ({"host_table_node": "remote"}, "virtual", 684, 685, True),
    ({"working_set_bytes": 16 << 30, "host_page": "2M"}, "virtual", 184, 185, False),
    ({"working_set_bytes": 16 << 30, "guest_page": "2M", "host_page": "2M"}, "virtual", 112, 113, False),
    ({"cpu": "haswell", "guest_page": "2M"}, "native", 38, 39, False),
    ({"cpu": "haswell"}, "native", 174, 175, False),
])  # fmt: skip
def test_a_published_walk_is_drawn_under_its_own_conditions(setting, side, low, high, bound):
    (published,) = WalkCostLab(**setting).result.published
    assert published.side == side and low < published.cycles < high and published.bound == bound


@pytest.mark.parametrize("setting", [
    {"working_set_bytes": 32 << 30}, {"pattern": "zipf"}, {"cpu": "zen2"}, {"host_page": "2M"}, {"guest_levels": 5},
    {"working_set_bytes": 16 << 30, "cpu": "haswell"}, {"working_set_bytes": 16 << 30, "guest_page": "1G"},
])  # fmt: skip
def test_a_published_walk_is_not_drawn_under_other_conditions(setting):
    assert WalkCostLab(**setting).result.published == ()


def test_the_bill_says_that_two_reads_take_most_of_a_walk():
    rows = WalkCostLab().result.virtual.rows
    assert {row.name for row in rows[:2]} == {"gPTE", "hPTE·data"}
    assert sum(row.cycles for row in rows[:2]) / sum(row.cycles for row in rows) == pytest.approx(2 / 3, abs=0.05)


def test_the_working_set_of_the_published_run_is_a_place_of_the_slider():
    control = WalkCostLab()._controls["working_set_bytes"]
    assert int(FACTS["mem.vmitosis.gups.table"].value) << 30 in control._stops and 16 << 30 in control._stops


def test_the_break_even_is_where_the_curves_meet():
    lab = MmuLab()
    at = break_even_updates_per_s()
    lab.page_table_updates_per_s = at
    assert lab.result.shadow.total_share == pytest.approx(lab.result.nested.total_share)
    assert lab.result.break_even_per_s == pytest.approx(at)
