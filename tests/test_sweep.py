"""A grid of any model: every combination once, in order, whatever the number of threads."""

import csv
import doctest
import io
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joblib.parallel import BatchedCalls

import virtlab
import virtlab.sweep as module
from virtlab.paths import LADDER
from virtlab.sweep import sweep

GRIDS = st.dictionaries(st.sampled_from("abc"), st.lists(st.integers(0, 9), min_size=1, max_size=4, unique=True),
                        min_size=1)


def test_the_package_has_it_under_its_own_name():
    assert virtlab.sweep(lambda a: 2 * a, {"a": [1, 2]}).results == (2, 4)


def test_every_combination_is_called_once_with_the_last_parameter_fastest():
    calls = []
    rows = sweep(lambda a, b, c: calls.append((a, b, c)) or 0.0, {"a": [1, 2], "b": "xy".split() + ["z"]}, c=9)
    assert calls == [(1, "xy", 9), (1, "z", 9), (2, "xy", 9), (2, "z", 9)]
    assert rows.shape == (2, 2) and len(rows) == 4


@settings(max_examples=25)
@given(GRIDS, st.sampled_from([1, 2]))
def test_rows_keep_the_order_of_the_grid_whatever_the_engine(grid, jobs):
    rows = sweep(lambda **setting: tuple(setting.values()), grid, jobs=jobs)
    assert list(rows.results) == list(itertools.product(*grid.values()))
    assert [tuple(s.values()) for s in rows.settings] == list(rows.results)


def test_a_field_comes_back_in_the_shape_of_the_grid():
    rows = sweep(LADDER["vhost-net"].counts, {"apicv": [False, True], "kick_batch": [1, 8, 32]}, interrupt_batch=8)
    exits = rows.values("vcpu_exits_per_packet")
    assert exits.shape == (2, 3)
    np.testing.assert_allclose(exits[0] - exits[1], 0.25)  # injection and EOI, shared by eight


def test_threads_give_the_same_numbers():
    grid = {"rate_packets_per_s": [5e4, 1e5], "seed": [1, 2]}
    one, two = (sweep(LADDER["sriov"].simulate, grid, jobs=jobs, packets=500, direction="rx") for jobs in (1, 2))
    np.testing.assert_array_equal(one.values("p99_ns"), two.values("p99_ns"))


def test_the_table_has_a_row_a_setting():
    table = sweep(LADDER["card"].capacity, {"frame_bytes": [64, 1518]}).table("packets_per_s")
    assert table.headers == ("frame_bytes", "packets_per_s") and [r[0] for r in table.rows] == ["64", "1518"]


def test_rows_that_cost_little_travel_in_batches(monkeypatch):
    sizes, run = [], BatchedCalls.__call__
    monkeypatch.setattr(BatchedCalls, "__call__", lambda batch: sizes.append(len(batch)) or run(batch))
    rows = sweep(lambda a: a, {"a": range(1000)}, jobs=2)
    assert rows.results == tuple(range(1000)) == tuple(range(sum(sizes)))
    assert len(sizes) < 100


def test_each_row_draws_its_own_seed_from_its_place_alone():
    rows = sweep(lambda a, seed: seed, {"a": range(6)}, seeds=7)
    assert len(set(rows.results)) == 6 and [s["seed"] for s in rows.settings] == list(rows.results)
    children = np.random.SeedSequence(7).spawn(6)
    assert list(rows.results) == [int(c.generate_state(1, np.uint64)[0] >> np.uint64(11)) for c in children]
    assert sweep(lambda b, a, seed: seed, {"b": [0], "a": range(4)}, seeds=7, jobs=2).results == rows.results[:4]


def test_a_part_of_the_grid_is_chosen_by_its_labels():
    rows = sweep(lambda a, b: 10 * a + b, {"a": np.array([1, 2, 3]), "b": [4, 5]})
    assert rows.at(a=2).axes == {"b": (4, 5)} and rows.at(a=2).values().tolist() == [24, 25]
    assert rows.at(b=5).values().tolist() == [15, 25, 35] and rows.at(b=4, a=3) == 34


@pytest.mark.parametrize(("label", "says"), [({"a": 3}, "no a=3; it has 1, 2"), ({"c": 3}, "no 'c'; it has a")])
def test_a_label_that_is_not_there_is_named_with_those_that_are(label, says):
    with pytest.raises(LookupError, match=says):
        sweep(lambda a: a, {"a": [1, 2]}).at(**label)


def test_records_array_and_csv_hold_the_same_rows():
    rows = sweep(LADDER["vhost-net"].capacity, {"kick_batch": np.array([1, 8]), "apicv": [False, True]})
    records, array = rows.records("packets_per_s"), rows.array("packets_per_s")
    assert records[1] == {"kick_batch": 1, "apicv": True, "packets_per_s": rows.results[1].packets_per_s}
    assert array.dtype.names == tuple(records[0]) and [tuple(r.values()) for r in records] == array.tolist()
    read = list(csv.DictReader(io.StringIO(rows.csv("packets_per_s"))))
    assert [float(r["packets_per_s"]) for r in read] == array["packets_per_s"].tolist()


def test_without_names_all_numbers_of_the_results_are_meant():
    rows = sweep(LADDER["vhost-net"].capacity, {"kick_batch": [1, 8]})
    assert "packets_per_s" in rows.records()[0] and "packets_per_s" in rows.table().headers
    with pytest.raises(ValueError, match="name a field"):
        sweep(lambda a: "text", {"a": [1]}).table()


def test_a_bar_is_shown_when_asked_for_and_never_where_output_is_stored(capfd):
    sweep(lambda a: a, {"a": range(3)})
    assert capfd.readouterr() == ("", "")
    sweep(lambda a: a, {"a": range(3)}, progress=True)
    out, err = capfd.readouterr()
    assert out == "" and "/3" in err


@pytest.mark.parametrize("grid", [{}, {"kick_batch": []}, {"path": "abc"}, {"a": range(2000), "b": range(2000)},
                                  {"a": [1], "fixed": [1]}, {"a": (x for x in "ab")}])
def test_a_grid_that_cannot_be_is_refused(grid):
    with pytest.raises(ValueError, match="grid"):
        sweep(lambda **_: 0.0, grid, fixed=1)


def test_one_seed_for_all_and_one_for_each_exclude_each_other():
    with pytest.raises(ValueError, match="leave one of them out"):
        sweep(lambda a, seed: 0.0, {"a": [1]}, seed=1, seeds=2)


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_error_of_the_model_comes_through_and_names_the_setting(jobs):
    with pytest.raises(ValueError, match="kick_batch must be 1 to 64 packets") as error:
        sweep(LADDER["card"].counts, {"apicv": [True], "kick_batch": [1, 0]}, jobs=jobs)
    assert error.value.__notes__ == ["The setting was apicv=True, kick_batch=0."]


def test_the_example_in_the_docstring_holds():
    assert doctest.testmod(module).failed == 0
