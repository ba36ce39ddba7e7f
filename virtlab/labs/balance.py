"""The balance lab: flows over queues, queues over cores, and the elephant that no table and no daemon splits."""

from __future__ import annotations

from virtlab.cpu import Balance, balance
from virtlab.cpu.balancing import BalanceOptions
from virtlab.figures.balance import BalancePicture
from virtlab.labs.base import Lab


class BalanceLab(Lab):
    """How far do more queues and cores carry? As far as the fullest core."""

    Setting = BalanceOptions
    Picture = BalancePicture
    visible = ("queues", "flows", "flow_zipf_exponent", "irq_placement")

    def solve(self, setting: BalanceOptions) -> Balance:
        return balance(setting)

    def sentence(self, setting: BalanceOptions, result: Balance) -> str:
        return result.sentence()
