"""Controls made from a parameter's declaration: a labelled number field with its slider, a choice, or a check box."""

from __future__ import annotations

import bisect
import html
from collections.abc import Callable
from typing import Any

import ipywidgets as widgets

from virtlab.core.parameter import Spec

_WIDE = {"description_width": "initial"}
_STEPS = 200  # positions of a logarithmic slider, at most


class Control:
    """The widgets of one parameter: ``on_move(value)`` is called when the reader moves one, never by ``show``."""

    def __init__(self, spec: Spec, on_move: Callable[[Any], None]) -> None:
        self.spec = spec
        self._on_move = on_move
        self._showing = False
        self._stops = _stops(spec) if spec.log or spec.kind == "float" else []
        self.inputs: list[Any] = _inputs(spec, self._stops)
        for widget in self.inputs:
            widget.observe(self._moved, names="value")
        help_text = widgets.HTML(f'<small style="opacity:.75">{html.escape(spec.help)}</small>')
        self.row = widgets.HBox([*self.inputs, help_text], layout=widgets.Layout(flex_flow="row wrap"))
        self.row.add_class("virtlab-control")

    def show(self, value: Any) -> None:
        """Sets the widgets to ``value`` without calling back."""
        self._showing = True
        try:
            for widget in self.inputs:
                widget.value = self._to_widget(widget, value)
        finally:
            self._showing = False

    def _moved(self, change: Any) -> None:
        if not self._showing:
            self._on_move(self._from_widget(change["owner"], change["new"]))

    def _to_widget(self, widget: Any, value: Any) -> Any:
        if not self._stops or widget is not self.inputs[1]:
            return value
        above = min(bisect.bisect_left(self._stops, value), len(self._stops) - 1)
        below = max(above - 1, 0)
        low, high = self._stops[below], self._stops[above]
        nearer_below = value * value < low * high if self.spec.log else value - low < high - value
        return below if nearer_below else above

    def _from_widget(self, widget: Any, shown: Any) -> Any:
        return self._stops[shown] if self._stops and widget is self.inputs[1] else shown


def _stops(spec: Spec) -> list[Any]:
    """The values at the positions of a slider, no two alike: each press of a key then moves the picture.

    A slider over positions, not over values: a front end rounds a slider's value to its step and sends that back, so
    that a value set by code, or a default, would change by being shown.
    """
    assert spec.low is not None and spec.high is not None
    if not spec.log:
        step = spec.step or float(f"{(spec.high - spec.low) / 100:.0e}")  # one digit: round values
        count = round((spec.high - spec.low) / step)
        return sorted({spec.low, spec.high, spec.default, *(round(spec.low + i * step, 12) for i in range(count))})
    ratio = spec.high / spec.low
    between = [spec.low * ratio ** (i / _STEPS) for i in range(1, _STEPS)]
    whole = spec.kind == "int"
    rounded = [round(v) if whole else min(spec.high, max(spec.low, float(f"{v:.3g}"))) for v in between]
    return list(dict.fromkeys([spec.low, *rounded, spec.high]))


def _inputs(spec: Spec, stops: list[Any]) -> list[Any]:
    unit = "" if spec.unit in ("1", "share") or spec.kind in ("bool", "choice") else f" [{spec.unit}]"
    named: dict[str, Any] = {"description": spec.label + unit, "style": _WIDE, "tooltip": spec.help}
    if spec.kind == "bool":
        return [widgets.Checkbox(value=spec.default, indent=False, **named)]
    if spec.kind == "choice":
        options = [(spec.choice_label(c), c) for c in spec.choices]
        return [widgets.Dropdown(options=options, value=spec.default, layout=widgets.Layout(width="30em"), **named)]
    if spec.low is None or spec.high is None or spec.default is None:
        raise TypeError(f"a lab cannot show parameter '{spec.name}': it has no range or no default of its own")
    span = {"min": spec.low, "max": spec.high, "value": spec.default}
    whole = spec.kind == "int"
    step = spec.step or (1 if whole else spec.low if spec.log else (spec.high - spec.low) / 100)
    field = widgets.BoundedIntText if whole else widgets.BoundedFloatText
    wide = {"layout": widgets.Layout(width="24em")}
    number = field(**span, **named, **wide, **({} if whole else {"step": step}))
    look = {"readout": False, "tooltip": spec.label, "layout": widgets.Layout(width="20em")}
    if stops:
        slider = widgets.IntSlider(min=0, max=len(stops) - 1, value=0, **look)  # ``show`` sets it before it is seen
    else:
        slider = widgets.IntSlider(**span, **look)
    return [number, slider]
