"""A million servers: blocks that merge as if drawn at once, closed forms of their moments, and what stays unknown."""

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import virtlab
from tests.strategies import settings_of
from virtlab import cloud
from virtlab.cloud.servers import BIN, SIZES
from virtlab.core.parameter import ParameterError
from virtlab.evidence import FACTS

CORES = np.array(SIZES, float)


def moments(world, vms):
    """Mean and variance of what one server loses: m VMs on C cores lose C/m each time their own independent losses."""
    loss, loss2 = world.works @ world.losses, world.works @ world.losses**2
    cores, cores2 = world.sizes @ CORES, world.sizes @ CORES**2
    return cores * loss, cores2 * (loss2 - loss**2) / vms + (cores2 - cores**2) * loss**2


def spread_of_means(known):
    """Standard deviation over worlds of the mean loss of a server: two independent factors, each of a Dirichlet sum."""
    declared, computing = cloud.world(), FACTS["overhead.gregg.hardware"]
    # tests of one kind share its weight evenly: only the three kinds are counted
    kind = np.concatenate([[0], np.repeat([1, 2], [4, 4])])
    weight = np.array([declared.works[kind == k].sum() for k in range(3)])
    mean = np.array([declared.losses[kind == k].mean() for k in range(3)])
    of_interval = (computing.high - computing.low) ** 2 / 12
    second = weight @ mean**2 + weight[0] * of_interval
    square = (weight @ mean) ** 2 + weight[0] ** 2 * of_interval  # mean over the interval of (sum w l)^2
    loss, loss_var = weight @ mean, (second - square) / (known + 1) + weight[0] ** 2 * of_interval
    cores, cores_var = CORES.mean(), CORES.var() / (known + 1)
    return math.sqrt(cores_var * loss_var + cores_var * loss**2 + loss_var * cores**2)


def singles(count, **options):
    """Blocks of one server: the mean of each is what that server loses."""
    return [cloud.servers(servers=1, seed=seed, **options) for seed in range(count)]


@pytest.fixture(scope="module")
def blocks():
    return singles(150, world=2)


@pytest.mark.parametrize(("world", "vms"), [(0, 1), (0, 16), (3, 4)])
def test_mean_and_variance_of_the_servers_are_those_of_the_closed_form(world, vms):
    drawn = cloud.servers(servers=40_000, world=world, vms_per_server=vms)
    mean, variance = moments(cloud.world(world=world), vms)
    assert drawn.mean_cores == pytest.approx(mean, abs=4 * math.sqrt(variance / 40_000))
    assert drawn.variance_cores2 == pytest.approx(variance, rel=0.05)


def test_with_one_vm_a_server_the_loss_is_that_of_the_mix_for_the_same_tests():
    world = cloud.world()
    one_by_one = [cloud.loss(network=n, block=b).loss
                  for n in ("iperf-1-rx", "iperf-1-tx", "iperf-10-rx", "iperf-10-tx")
                  for b in ("4k-qd32-read", "4k-qd1-read", "128k-qd32-read", "128k-qd1-read")]
    assert world.works @ world.losses == pytest.approx(np.mean(one_by_one))


def test_merged_blocks_have_the_moments_and_extremes_of_all_their_servers(blocks):
    lost, all_of_them = np.array([b.mean_cores for b in blocks]), cloud.merge(blocks)
    assert all_of_them.servers == 150 and all_of_them.all_cores == sum(b.all_cores for b in blocks)
    assert (all_of_them.least_cores, all_of_them.most_cores) == (lost.min(), lost.max())
    assert all_of_them.mean_cores == pytest.approx(lost.mean(), rel=1e-12)
    assert all_of_them.variance_cores2 == pytest.approx(lost.var(), rel=1e-12)


@given(st.randoms(use_true_random=False), st.integers(1, 149))
@settings(max_examples=20)
def test_neither_order_nor_grouping_of_the_blocks_matters(blocks, rng, cut):
    mixed = rng.sample(blocks, len(blocks))
    one, two = cloud.merge(blocks), cloud.merge([cloud.merge(mixed[:cut]), cloud.merge(mixed[cut:])])
    assert repr(cloud.merge(mixed)) == repr(one) and cloud.merge(mixed).squares_cores2 == one.squares_cores2
    assert two.squares_cores2 == pytest.approx(one.squares_cores2, rel=1e-12)
    np.testing.assert_array_equal(two.counts, one.counts)
    assert two.seeds == one.seeds


@given(st.floats(0, 1))
@settings(max_examples=40)
def test_a_quantile_errs_by_one_bin_at_most_and_never_downwards(blocks, share):
    exact = np.quantile([b.mean_cores / b.all_cores for b in blocks], share, method="inverted_cdf")
    assert -1e-12 <= cloud.merge(blocks).quantile(share) - exact <= BIN + 1e-12


def test_a_block_of_several_draws_is_one_draw_in_all_but_its_random_numbers():
    drawn = cloud.servers(servers=70_000)  # two draws of 65 536 at most
    assert drawn.law() == (70_000, 70_000) and drawn.seeds == (1,)
    assert drawn.mean_cores == pytest.approx(cloud.servers(servers=30_000, seed=2).mean_cores, rel=0.02)


@given(settings_of(cloud.ServersOptions, servers=20))
@settings(max_examples=40)
def test_every_setting_gives_a_fleet_that_counts_each_server_once(options):
    try:
        fleet = cloud.servers(options)
    except ParameterError as error:
        assert "must not all be 0" in str(error)
        return
    assert fleet.law() == (20, 20) and fleet.least_cores <= fleet.mean_cores <= fleet.most_cores
    assert -1 <= fleet.lost_cores / fleet.all_cores < 1
    assert cloud.servers(options).mean_cores == fleet.mean_cores


def test_work_that_is_not_there_is_in_no_world():
    works = cloud.world(world=5, share_net=0).works
    assert np.count_nonzero(works) == 5 and works.sum() == pytest.approx(1)


@pytest.mark.parametrize(("changes", "says"), [
    ([], "needs one block"),
    ([{}, {}], "seed 1 twice"),
    ([{}, {"seed": 2, "world": 1}], "cloud.spread compares worlds"),
    ([{}, {"seed": 2, "vms_per_server": 2}], "one set of inputs"),
])  # fmt: skip
def test_what_is_no_one_fleet_is_not_merged(changes, says):
    with pytest.raises(ValueError, match=says):
        cloud.merge([cloud.servers(servers=5, **c) for c in changes])


@pytest.mark.parametrize("known", [10, 100_000])
def test_the_spread_of_the_worlds_is_that_of_the_closed_form(known):
    means = np.array([moments(cloud.world(world=w, known_servers=known), 1)[0] for w in range(1, 401)])
    assert means.mean() == pytest.approx(moments(cloud.world(), 1)[0], abs=4 * spread_of_means(known) / 20)
    assert means.std() == pytest.approx(spread_of_means(known), rel=0.12)  # 3.5 of its own standard errors


@pytest.fixture(scope="module")
def worlds():
    return virtlab.sweep(cloud.servers, {"world": range(1, 121), "seed": [1, 2]}, servers=50)


def test_more_servers_average_out_their_differences_but_not_what_nobody_knows(worlds):
    few, many = (cloud.spread(worlds.results, servers=n) for n in (10_000, 1_000_000))
    assert many.chance_cores / many.lost_cores == pytest.approx(few.chance_cores / few.lost_cores / 10)
    assert many.unknown_cores / many.lost_cores == pytest.approx(few.unknown_cores / few.lost_cores)
    assert many.unknown_cores == pytest.approx(1e6 * spread_of_means(10), rel=0.25)
    assert many.unknown_cores > 100 * many.chance_cores


def test_variance_in_worlds_and_between_them_is_that_of_all_servers(worlds):
    both, together = cloud.spread(worlds.results).law()
    assert both == pytest.approx(together)


def test_where_all_worlds_are_alike_by_chance_alone_nothing_is_left_unknown():
    known = {"known_servers": 100_000, "share_cpu": 0.0, "share_blk": 0.0}
    found = cloud.spread(virtlab.sweep(cloud.servers, {"world": range(1, 61)}, servers=200, **known).results)
    assert found.unknown_cores < 0.02 * found.lost_cores  # the worlds' means differ by 4 %, and by chance


def test_blocks_come_in_any_order(worlds):
    mixed = random.Random(1).sample(worlds.results, len(worlds.results))
    assert cloud.spread(mixed).lost_cores == pytest.approx(cloud.spread(worlds.results).lost_cores, rel=1e-12)


@pytest.mark.parametrize(("grid", "says"), [({"world": [1]}, "two worlds"), ({"world": [0, 1]}, "world 0 among")])
def test_one_world_and_the_declared_world_have_no_spread(grid, says):
    with pytest.raises(ValueError, match=says):
        cloud.spread(virtlab.sweep(cloud.servers, grid, servers=5).results)


def test_worlds_of_different_size_are_refused():
    with pytest.raises(ValueError, match="same number of servers"):
        cloud.spread([cloud.servers(servers=5, world=1), cloud.servers(servers=6, world=2)])


@pytest.mark.parametrize(("name", "value"), [("servers", 0), ("seed", -1), ("world", -1), ("vms_per_server", 0)])
def test_bad_blocks_are_refused_in_a_sentence_that_teaches(name, value):
    with pytest.raises(ParameterError, match=rf"{name} must be .* to .*you gave {value}: "):
        cloud.servers(**{name: value})


def test_results_print_their_figures(worlds):
    assert "10,000 servers" in str(cloud.servers(servers=10_000)) and "1 million servers" in str(
        cloud.spread(worlds.results))
