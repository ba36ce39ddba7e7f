"""Hypothesis strategies that follow from a parameter's one declaration: its ends, a grid between them, and the rest."""

from __future__ import annotations

import math
from typing import Any, TypeVar

from hypothesis import assume
from hypothesis import strategies as st

from virtlab.core.parameter import ParameterError, Parameters, Spec

P = TypeVar("P", bound=Parameters)
GRID = 7


def values_of(spec: Spec) -> st.SearchStrategy[Any]:
    """Allowed values of one parameter: the default, both ends, a grid (geometric where the slider is), and between."""
    if spec.kind == "bool":
        return st.booleans()
    if spec.kind == "choice":
        return st.sampled_from(spec.choices)
    assert spec.low is not None and spec.high is not None, f"{spec.name} has no range"
    if spec.kind == "int":
        numbers = st.sampled_from(_grid(spec, round)) | st.integers(math.ceil(spec.low), math.floor(spec.high))
    else:
        numbers = st.sampled_from(_grid(spec, float)) | st.floats(spec.low, spec.high, allow_nan=False)
    return st.none() | numbers if spec.follows else numbers


@st.composite
def settings_of(draw: st.DrawFn, cls: type[P], **fixed: Any) -> P:
    """An allowed object of ``cls``; ``fixed`` parameters keep the given value. Forbidden combinations are left out."""
    values = {name: draw(values_of(spec)) for name, spec in cls.specs().items() if name not in fixed}
    try:
        return cls(**values, **fixed)
    except ParameterError:
        assume(False)
        raise


def _grid(spec: Spec, kind: Any) -> list[Any]:
    assert spec.low is not None and spec.high is not None
    steps = [k / (GRID - 1) for k in range(GRID)]
    if spec.log and spec.low > 0:
        points = [spec.low * (spec.high / spec.low) ** s for s in steps]
    else:
        points = [spec.low + (spec.high - spec.low) * s for s in steps]
    ends = [spec.low, spec.high] if spec.default is None else [spec.default, spec.low, spec.high]
    return list(dict.fromkeys(kind(min(max(p, spec.low), spec.high)) for p in (*ends, *points)))
