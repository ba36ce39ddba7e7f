"""Figures of one product and features of another are no third product."""

from __future__ import annotations

import pytest

from virtlab.core.words import words
from virtlab.evidence import FACTS
from virtlab.paths import products
from virtlab.paths.products import PRODUCTS


def all_of_it(**wishes):
    return {p.id: p.has_all for p in products(**wishes).products}


def test_no_product_that_was_read_has_three_million_iops_and_encryption():
    """PL-X is quoted with the IOPS and cannot be encrypted; PL3 can, and has a third of them."""
    assert all_of_it(iops=3e6)["plx"] and not all_of_it(iops=3e6)["pl3"]
    assert all_of_it(encrypted=True)["pl3"] and not all_of_it(encrypted=True)["plx"]
    assert True not in all_of_it(iops=3e6, encrypted=True).values()


def test_what_nobody_stated_is_not_taken_for_a_no():
    assert all_of_it(iops=3e6, latency_ns=40_000)["plx"] is None
    assert all_of_it(latency_ns=40_000)["io2"] is None, "below 500 µs"
    assert all_of_it(latency_ns=500_000)["io2"] is True


def test_every_product_has_words_and_facts_that_exist():
    assert set(words("products.name")) == set(PRODUCTS)
    assert all(fact in FACTS for facts in PRODUCTS.values() for fact in facts if fact)
    assert "3 million IOPS [R]" in str(products(iops=3e6, latency_ns=4e4, encrypted=True))


def test_no_wish_is_refused():
    with pytest.raises(ValueError, match="without a wish"):
        products()
