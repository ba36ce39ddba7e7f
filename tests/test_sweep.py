"""A grid of any model: every combination once, in order, whatever the number of threads."""

import doctest

import numpy as np
import pytest

import virtlab.sweep as module
from virtlab.paths import LADDER
from virtlab.sweep import sweep


def test_every_combination_is_called_once_with_the_last_parameter_fastest():
    calls = []
    rows = sweep(lambda a, b, c: calls.append((a, b, c)) or 0.0, {"a": [1, 2], "b": "xy".split() + ["z"]}, c=9)
    assert calls == [(1, "xy", 9), (1, "z", 9), (2, "xy", 9), (2, "z", 9)]
    assert rows.shape == (2, 2) and len(rows) == 4


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


@pytest.mark.parametrize("grid", [{}, {"kick_batch": []}, {"path": "abc"}, {"a": range(2000), "b": range(2000)}])
def test_a_grid_that_cannot_be_is_refused(grid):
    with pytest.raises(ValueError, match="grid"):
        sweep(lambda **_: 0.0, grid)


def test_an_error_of_the_model_comes_through():
    with pytest.raises(ValueError, match="kick_batch must be 1 to 64 packets"):
        sweep(LADDER["card"].counts, {"kick_batch": [1, 0]}, jobs=2)


def test_the_example_in_the_docstring_holds():
    assert doctest.testmod(module).failed == 0
