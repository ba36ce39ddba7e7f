"""Shapley's value, exact: what each player adds to a total, as the mean over all orders in which they could join."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeVar

P = TypeVar("P")
#: 2^n sets are valued: at 16 players there are 65,536.
MOST_PLAYERS = 16


def subsets(players: Sequence[P]) -> list[frozenset[P]]:
    """All sets of players; the one at index m has player i where bit i of m is set. Raises ValueError."""
    if len(set(players)) != len(players) or len(players) > MOST_PLAYERS:
        raise ValueError(
            f"players must be at most {MOST_PLAYERS}, each named once; you gave {len(players)}: every set of them is "
            "valued, and each more player doubles their number."
        )
    return [frozenset(p for i, p in enumerate(players) if mask >> i & 1) for mask in range(1 << len(players))]


def shapley(value: Callable[[frozenset[P]], float], players: Sequence[P]) -> dict[P, float]:
    """Each player's share of value(all) - value(none). ``value`` is asked once for each of the 2^n sets.

    The shares add up exactly and depend on no order; a player who never changes anything gets 0, and two who change the
    same get the same. Golden: losses of 3, 4, 2 and 1.5 % that multiply get 2.889, 3.872, 1.917 and 1.434 %.
    Raises ValueError.
    """
    sets = subsets(players)
    values = [value(one) for one in sets]
    n = len(players)
    weights = [math.factorial(k) * math.factorial(n - k - 1) / math.factorial(n) for k in range(n)]
    shares = {}
    for i, player in enumerate(players):
        bit = 1 << i
        shares[player] = math.fsum(
            weights[mask.bit_count()] * (values[mask | bit] - values[mask]) for mask in range(1 << n) if not mask & bit
        )
    return shares
