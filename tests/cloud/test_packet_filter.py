"""The meaning of a filter: cache and classifier give the verdict of a scan, before and after a change of the rules."""
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from virtlab.cloud import Classifier, FlowCache, Packet, PacketFilter, Rule, random_packets, random_rules, scan
from virtlab.core.parameter import ParameterError

WEB = Packet(0x0A000001, 0x0A000002, 6, 40_000, 80)
small = settings(max_examples=25)
PREFIXES = st.sampled_from(["0.0.0.0/0", "10.0.0.0/8", "10.0.0.0/24", "10.0.0.0/31", "10.0.0.1/32", "10.0.0.2/32"])
RULES = st.lists(st.builds(
    Rule.of, st.integers(0, 3), st.sampled_from(["allow", "deny"]), source=PREFIXES, destination=PREFIXES,
    protocol=st.sampled_from([None, 6, 17]), destination_port=st.sampled_from([None, 22, 80]),
), max_size=12)  # fmt: skip
PACKETS = st.lists(st.builds(
    Packet, st.integers(0x0A000000, 0x0A000003), st.integers(0x0A000000, 0x0A000003), st.sampled_from([6, 17]),
    st.just(40_000), st.sampled_from([22, 80]),
), min_size=1, max_size=12)  # fmt: skip


@settings(max_examples=50)
@given(RULES, PACKETS)
def test_tuple_space_search_gives_the_verdict_of_the_scan_with_at_most_a_probe_a_mask(rules, packets):
    search = Classifier(rules)
    assert search.masks == len({rule.mask for rule in rules})
    for packet in packets:
        match = search.look_up(packet)
        assert match.action == scan(rules, packet)
        assert match.probes <= search.masks
        assert match.rule is None or match.rule.matches(packet)


@settings(max_examples=40)
@given(RULES, RULES, PACKETS, st.sampled_from(["two_places", "lru"]), st.integers(1, 8), st.sampled_from([0.5, 1.0]))
def test_a_filter_gives_the_verdict_of_the_scan_after_each_change_too(rules, more, packets, policy, entries, chance):
    tested = PacketFilter(rules, FlowCache(entries, policy, chance))
    for change in (None, *more, *rules):
        if change is not None:
            (tested.remove if change in tested.rules else tested.add)(change)
        for packet in packets * 2:
            assert tested.decide(packet).action == scan(tested.rules, packet)


@small
@given(st.integers(0, 1000))
def test_many_random_rules_and_packets(seed):
    rules = random_rules(60, 9, seed)
    tested = PacketFilter(rules, FlowCache(32))
    assert {tested.decide(p).action for p in random_packets(50, seed)} <= {"allow", "deny"}
    for packet in random_packets(50, seed) * 2:
        assert tested.decide(packet).action == scan(rules, packet)


@pytest.mark.parametrize(("invalidate", "verdict"), [(True, "deny"), (False, "allow")])
def test_without_invalidation_a_flow_keeps_the_verdict_of_rules_that_are_gone(invalidate, verdict):
    tested = PacketFilter([Rule.of(1, "allow", destination_port=80)], invalidate=invalidate)
    assert tested.decide(WEB).action == "allow"
    tested.add(Rule.of(2, "deny", source="10.0.0.0/8"))
    assert scan(tested.rules, WEB) == "deny"
    assert tested.decide(WEB).action == verdict


def test_the_search_ends_where_no_later_table_can_hold_a_better_rule():
    rules = [Rule.of(9, "allow", destination_port=80), Rule.of(1, "deny", source="10.0.0.0/8"), Rule.of(0, "deny")]
    search = Classifier(rules)
    assert search.look_up(WEB).probes == 1
    assert search.look_up(WEB._replace(destination_port=22)).probes == 2
    assert search.look_up(WEB._replace(destination_port=22, source=1)).probes == 3


def test_of_equal_priorities_the_earlier_rule_decides():
    pair = [Rule.of(1, "allow", destination_port=80), Rule.of(1, "deny", source="10.0.0.0/8")]
    assert scan(pair, WEB) == Classifier(pair).look_up(WEB).action == "allow"
    assert scan(pair[::-1], WEB) == Classifier(pair[::-1]).look_up(WEB).action == "deny"


def test_probes_do_not_grow_with_rules_at_equal_masks():
    packets = random_packets(200)
    few, many = (Classifier(random_rules(n, 8)) for n in (64, 4000))
    assert few.masks == many.masks == 8
    assert max(many.look_up(p).probes for p in packets) <= 8
    mean = [sum(c.look_up(p).probes for p in packets) / 200 for c in (few, many)]
    assert mean[1] <= mean[0], "more rules let the search end sooner, never later"


@given(st.lists(st.integers(0, 40), max_size=120), st.integers(1, 12), st.sampled_from(["two_places", "lru"]))
def test_a_cache_never_holds_more_than_its_entries_nor_another_value(keys, entries, policy):
    cache = FlowCache(entries, policy)
    for key in keys:
        kept = cache.get(key)
        assert kept in (None, f"flow {key}")
        if kept is None:
            cache.offer(key, f"flow {key}")
            assert cache.get(key) == f"flow {key}", "what has just come in is there"
        assert len(cache) <= entries
    assert cache.insertions - cache.evictions == len(cache)


def test_lru_evicts_the_flow_that_was_not_used_for_longest():
    cache = FlowCache(2, "lru")
    for key in "ab":
        cache.offer(ord(key), key)
    assert cache.get(ord("a")) == "a"
    cache.offer(ord("c"), "c")
    assert (cache.get(ord("a")), cache.get(ord("b")), cache.get(ord("c"))) == ("a", None, "c")


@pytest.mark.parametrize(("wrong", "teaches"), [
    (lambda: Rule.of(1, "drop"), "allow or deny"),
    (lambda: Rule.of(1, "deny", source="10.0.0.1/8"), "no IPv4 prefix"),
    (lambda: Rule.of(1, "deny", destination_port=65_536), "16 bits holds 0 to 65,535"),
    (lambda: FlowCache(0), "at least 1 entry"),
    (lambda: random_rules(10, 73), "1 to 72"),
    (lambda: PacketFilter().remove(Rule.of(1, "deny")), "not in the filter"),
])  # fmt: skip
def test_what_makes_no_sense_is_refused_with_the_reason(wrong, teaches):
    with pytest.raises(ParameterError, match=teaches):
        wrong()
