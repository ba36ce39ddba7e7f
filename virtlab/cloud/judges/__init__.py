"""The judges of the claims: each computes where a claim holds and which parameter breaks it first.

A judge looks at the models and at the facts, and never calls a claim right or wrong. Arithmetic slips and
contradictions are called so. "About" means within a fifth of the figure.
"""

from virtlab.cloud.judges.card import s9, s13
from virtlab.cloud.judges.exits import s3, s24
from virtlab.cloud.judges.memory import s19
from virtlab.cloud.judges.mix import s1, s2, s7
from virtlab.cloud.judges.passthrough import s15, s20
from virtlab.cloud.judges.path import s10, s11, s12, s14
from virtlab.cloud.judges.sharing import s5, s6, s8, s18
from virtlab.cloud.judges.storage import s16
from virtlab.cloud.judges.thin import s4, s17, s22
from virtlab.cloud.judges.whole import s21, s23

__all__ = [
    "s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "s12", "s13", "s14", "s15", "s16", "s17", "s18",
    "s19", "s20", "s21", "s22", "s23", "s24",
]  # fmt: skip
