"""A parameter, declared once: its validation, slider, table row, test strategy and JSON all follow from it."""

from __future__ import annotations

import difflib
import functools
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Any, Literal, Protocol, Self, cast, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from virtlab.core.table import Table
from virtlab.core.units import show
from virtlab.core.words import words

Kind = Literal["int", "float", "bool", "choice"]


class Source(Protocol):
    """What a default must bring along: a fact of ``virtlab.evidence`` fits."""

    @property
    def id(self) -> str: ...
    @property
    def value(self) -> float: ...
    @property
    def unit(self) -> str: ...


class ParameterError(ValueError):
    """A value out of range; the message names the parameter, its range, its unit and the reason."""


@dataclass(frozen=True)
class Spec:
    """Everything that a control, a table, a test or an error message needs to know of one parameter."""

    name: str
    kind: Kind
    default: Any
    low: float | None
    high: float | None
    unit: str
    choices: tuple[Any, ...]
    log: bool
    step: float | None
    fact: str
    follows: str = ""

    def _word(self, key: str) -> str:
        return str(words(f"parameter.{self.name}").get(key, ""))

    @property
    def label(self) -> str:
        return self._word("label")

    @property
    def help(self) -> str:
        return self._word("help")

    @property
    def why(self) -> str:
        """Why values outside the range make no sense."""
        return self._word("why")

    def choice_label(self, choice: Any) -> str:
        return str(words(f"parameter.{self.name}").get("choices", {}).get(str(choice), choice))

    def range_text(self) -> str:
        """The allowed values as a person says them: ``1 to 64 packets``, ``tx or rx``."""
        if self.kind == "bool":
            return "True or False"
        if self.kind == "choice":
            return " or ".join(str(c) for c in self.choices)
        unit = "" if self.unit in ("1", "share") else f" {self.unit}"
        if self.follows:
            unit += f", or None to follow {self.follows}"
        return f"{_plain(self.low)} to {_plain(self.high)}{unit}"

    def show(self, value: Any) -> str:
        """``value`` of this parameter, formatted for a person."""
        if value is None:
            return f"as {self.follows}"
        if self.kind == "bool":
            return "on" if value else "off"
        return self.choice_label(value) if self.kind == "choice" else show(float(value), self.unit)


def _plain(value: float | None) -> str:
    if value is None:
        return "any"
    return f"{int(value):,}" if value == int(value) and abs(value) < 1e15 else f"{value:g}"


def parameter(
    source: Source,
    *,
    ge: float | None = None,
    le: float | None = None,
    default: Any = None,
    unit: str | None = None,
    log: bool = False,
    step: float | None = None,
    follows: str = "",
) -> Any:
    """Declares one field of a :class:`Parameters` class.

    ``source`` is the fact that the default comes from: its value is the default unless ``default`` says which choice
    follows from it. ``ge`` and ``le`` bound a number (both are needed). ``log`` asks for a logarithmic slider.
    ``follows`` names the parameter whose value stands in for ``None``, which is then the default.
    """
    value: Any = None if follows else source.value if default is None else default
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # facts hold floats; a float field takes a whole number as well, an int field nothing else
    extra: dict[str, Any] = {
        "fact": source.id,
        "unit": unit or source.unit,
        "log": log,
        "step": step,
        "follows": follows,
    }
    return Field(default=value, ge=ge, le=le, json_schema_extra=extra)


def same(
    of: type[Parameters], name: str, *, ge: float | None = None, le: float | None = None, step: float | None = None,
) -> Any:  # fmt: skip
    """Declares a field that ``of`` has declared: its default, its fact and its range, which may be narrowed here."""
    spec, field = of.specs()[name], of.model_fields[name]
    extra: Any = field.json_schema_extra
    return Field(
        default=field.default, ge=spec.low if ge is None else ge, le=spec.high if le is None else le,
        json_schema_extra=extra | {"step": spec.step if step is None else step},
    )  # fmt: skip


class Parameters(BaseModel):
    """A frozen set of parameters. Wrong values raise :class:`ParameterError` in one sentence that teaches."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False, strict=True)

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**{name: _python(value) for name, value in values.items()})
        except ValidationError as error:
            raise ParameterError(_teach(type(self), error)) from None

    @classmethod
    @functools.cache  # read at every step of every path
    def specs(cls) -> dict[str, Spec]:
        """The parameters by name, in the order of their declaration."""
        return {name: _spec(name, field) for name, field in cls.model_fields.items()}

    def replace(self, **values: Any) -> Any:
        """A copy with some values changed, validated like a new one."""
        return type(self)(**{**{n: getattr(self, n) for n in type(self).model_fields}, **values})

    @classmethod
    def given(cls, options: Self | None, changes: Mapping[str, Any]) -> Self:
        """What a model was called with: ``options`` (or the defaults) with ``changes`` by name, validated."""
        if options is None:
            return cls(**changes)
        return cast(Self, options.replace(**changes)) if changes else options

    @classmethod
    def table(cls) -> Table:
        """One row a parameter: label, default, range, the fact that the default comes from."""
        rows = [(s.name, s.label, s.show(s.default), s.range_text(), s.fact) for s in cls.specs().values()]
        return Table.of(("name", "meaning", "default", "allowed", "default comes from"), rows)


def _spec(name: str, field: Any) -> Spec:
    extra = field.json_schema_extra or {}
    low = high = None
    for bound in field.metadata:
        low = getattr(bound, "ge", None) if getattr(bound, "ge", None) is not None else low
        high = getattr(bound, "le", None) if getattr(bound, "le", None) is not None else high
    choices: tuple[Any, ...] = ()
    annotation = field.annotation
    if get_origin(annotation) is UnionType:  # "int | None"
        annotation = next(a for a in get_args(annotation) if a is not NoneType)
    if get_origin(annotation) is Literal:
        kind: Kind = "choice"
        choices = get_args(annotation)
    elif annotation is bool:
        kind = "bool"
    elif annotation in (int, float):
        kind = "int" if annotation is int else "float"
        if low is None or high is None:
            raise TypeError(f"parameter '{name}' is a number: declare both ge and le")
    else:
        raise TypeError(f"parameter '{name}' must be int, float, bool or Literal, not {field.annotation}")
    return Spec(
        name, kind, field.default, low, high, extra["unit"], choices,
        extra["log"], extra["step"], extra["fact"], extra["follows"],
    )  # fmt: skip


def _teach(cls: type[Parameters], error: ValidationError) -> str:
    specs = cls.specs()
    problem = error.errors()[0]
    if not problem["loc"]:
        return str(problem["msg"]).removeprefix("Value error, ")
    name = str(problem["loc"][0])
    if name not in specs:
        return unknown(name, specs)
    return out_of_range(specs[name], problem["input"])


def _python(value: Any) -> Any:
    """A NumPy number as Python's own: a step of ``np.arange`` is as good as one of ``range``."""
    return value.item() if type(value).__module__ == "numpy" and getattr(value, "shape", None) == () else value


def unknown(name: str, known: Iterable[str]) -> str:
    """The sentence for a name that no parameter has."""
    names = list(known)
    close = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(names)}."
    return f"there is no parameter '{name}'; {hint}"


def out_of_range(spec: Spec, given: Any) -> str:
    """The sentence for a value that ``spec`` does not allow."""
    if isinstance(given, float) and not math.isfinite(given):
        given = str(given)
    reason = f": {spec.why}" if spec.why else ""
    return f"{spec.name} must be {spec.range_text()}; you gave {given!r}{reason}."
