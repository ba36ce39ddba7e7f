"""The predictions and exercises as data: loaded from data/NN.toml, checked, and varied by the student's seed."""

from __future__ import annotations

import difflib
import functools
import hashlib
import importlib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from importlib.resources.abc import Traversable
from types import ModuleType
from typing import Any, Literal

from virtlab.core.units import number
from virtlab.core.words import say
from virtlab.lessons.text import fill

Kind = Literal["number", "explain", "design", "debug"]
KINDS: tuple[Kind, ...] = ("number", "explain", "design", "debug")
Value = float | str


class LessonError(ValueError):
    """A damaged lesson file; the message names the file, the entry and the field."""


@dataclass(frozen=True)
class Choice:
    """One answer of a choice: the results from ``low`` to below ``high`` belong to it."""

    key: str
    label: str
    low: float = 0.0
    high: float = 0.0


@dataclass(frozen=True)
class Prediction:
    """A question asked before the lab. ``choices`` are the answers of a choice, or the things to put in order.

    ``tie``: things to put in order count as equal when their values differ by less than this share (0.3 is 30 %).
    """

    id: str
    kind: Literal["number", "choice", "order"]
    label: str
    help: str
    unit: str = "1"
    low: float = 0.0
    high: float = 0.0
    tie: float = 0.0
    choices: tuple[Choice, ...] = ()

    def choice(self, key: str) -> Choice:
        return next(c for c in self.choices if c.key == key)


@dataclass(frozen=True)
class Part:
    """One number of an answer: right within ``absolute``, or within ``relative`` of the true value.

    ``bytes``: sizes or rates in bytes come in, so that a wrong answer may have mixed bits and bytes, kB and KiB.
    """

    label: str
    unit: str
    relative: float = 0.0
    absolute: float = 0.0
    bytes: bool = False


@dataclass(frozen=True)
class Case:
    """One call that a mended function must answer, and what a wrong answer to it suggests."""

    args: Sequence[Any]
    hint: str


@dataclass(frozen=True)
class Exercise:
    """An exercise, its words already filled with the numbers of one student (``values``)."""

    id: str
    kind: Kind
    title: str
    text: str
    why: str
    solution: str
    hints: tuple[str, ...]
    stub: str = "answer = ..."
    given: tuple[str, ...] = ()
    parts: tuple[Part, ...] = ()
    rubric: tuple[str, ...] = ()
    cases: tuple[Case, ...] = ()
    mistakes: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Value] = field(default_factory=dict)


@functools.cache
def raw(notebook: str) -> dict[str, Any]:
    """The file of one notebook as it stands."""
    return _load(resources.files("virtlab.lessons") / "data" / f"{notebook}.toml")


@functools.cache
def notebooks() -> tuple[str, ...]:
    """The numbers of the notebooks that have a file."""
    folder = resources.files("virtlab.lessons") / "data"
    return tuple(sorted(f.name.removesuffix(".toml") for f in folder.iterdir() if f.name.endswith(".toml")))


def _load(file: Traversable) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise LessonError(f"{file.name}: {error}") from None


def answers(notebook: str) -> ModuleType:
    """The module that computes what is true in a notebook: PREDICTIONS, NUMBERS, DESIGNS, REFERENCES."""
    return importlib.import_module(f"virtlab.lessons.answers_{notebook}")


def predictions(notebook: str) -> tuple[Prediction, ...]:
    """The predictions of a notebook, in their order. Raises LookupError for a notebook that has none."""
    if notebook not in notebooks() or not raw(notebook).get("prediction"):
        asked = [n for n in notebooks() if raw(n).get("prediction")]
        raise LookupError(say("lessons.no_notebook", id=repr(notebook), known=", ".join(asked)))
    return tuple(make_prediction(entry, f"{notebook}.toml") for entry in raw(notebook)["prediction"])


@functools.cache
def all_predictions() -> Mapping[str, Prediction]:
    """Every prediction by its id."""
    return {p.id: p for n in notebooks() if raw(n).get("prediction") for p in predictions(n)}


def find_prediction(id: str) -> Prediction:
    """The prediction called ``id``. Raises LookupError with the nearest name."""
    return all_predictions()[known(id, tuple(all_predictions()), "prediction")]


@functools.cache
def exercise_ids() -> tuple[str, ...]:
    """The ids of all exercises, in their order."""
    return tuple(entry["id"] for n in notebooks() for entry in raw(n).get("exercise", []))


@functools.lru_cache(maxsize=1024)
def _exercise(id: str, seed: int) -> Exercise:
    file = f"{id.split('.')[0]}.toml"
    entry = next(e for e in raw(id.split(".")[0])["exercise"] if e["id"] == id)
    return make_exercise(entry, seed, file)


def find_exercise(id: str, seed: int = 0) -> Exercise:
    """The exercise called ``id`` with the numbers of one student. Raises LookupError with the nearest name."""
    return _exercise(known(id, exercise_ids(), "exercise"), seed)


def known(id: str, ids: tuple[str, ...], what: str) -> str:
    """``id`` if it is one of ``ids``, else a LookupError that says which one may be meant."""
    if isinstance(id, str) and id in ids:
        return id
    near = difflib.get_close_matches(str(id)[:50], ids, n=1)
    key = "lessons.meant" if near else "lessons.there_are"
    rest = say(key, near=near[0] if near else "", ids=", ".join(ids))
    raise LookupError(say("lessons.unknown", what=what, id=repr(id)[:60], rest=rest))


@functools.cache
def path_names() -> Mapping[str, str]:
    """What ``{P1}`` to ``{P7}`` in a text stand for: the titles of the paths of the ladder."""
    from virtlab.paths import LADDER  # only when a text is shown

    return {f"P{path.rung}": path.title for path in LADDER.values()}


def make_prediction(entry: Mapping[str, Any], file: str) -> Prediction:
    """A prediction from its entry, its words filled with the names of the paths. Raises LessonError."""
    _need(entry, file, ("id", "kind", "label", "help"))
    if entry["kind"] not in ("number", "choice", "order"):
        raise LessonError(f"{file}, entry {entry['id']}, field kind: must be number, choice or order")
    if (entry["kind"] == "number") == bool(entry.get("choices")):
        raise LessonError(f"{file}, entry {entry['id']}, field choices: a number has none, the others need them")
    choices = tuple(_make(Choice, _filled(c, path_names()), file, entry["id"]) for c in entry.get("choices", ()))
    return _make(Prediction, {**_filled(entry, path_names()), "choices": choices}, file)


def make_exercise(entry: Mapping[str, Any], seed: int, file: str) -> Exercise:
    """An exercise from its entry, with the numbers that belong to ``seed``. Raises LessonError."""
    _need(entry, file, ("id", "kind", "title", "text", "why", "solution", "hints"))
    if entry["kind"] not in KINDS:
        raise LessonError(f"{file}, entry {entry['id']}, field kind: must be one of {', '.join(KINDS)}")
    for kind, name in (("number", "part"), ("explain", "rubric"), ("debug", "case")):
        if (entry["kind"] == kind) != bool(entry.get(name)):
            raise LessonError(f"{file}, entry {entry['id']}, field {name}: needed by the kind {kind}, and by it alone")
    values = draw(entry["id"], entry.get("vary", {}), seed)
    names = entry.get("names", {})
    # A reader sees 1,000 and QEMU 4.2 where the program text has 1000 and qemu.
    drawn = {n: names.get(n, {}).get(str(v), v if isinstance(v, str) else number(v, 12)) for n, v in values.items()}
    shown = {**path_names(), **drawn}
    texts = {n: fill(entry[n], shown) for n in ("title", "text", "why")}
    solution = shown if entry["kind"] == "explain" else values  # there it is a text, else a program
    code = {"solution": fill(entry["solution"], solution)}
    code |= {"stub": fill(entry["stub"], values)} if "stub" in entry else {}
    return _make(Exercise, {
        **{n: v for n, v in entry.items() if n not in ("vary", "names", "part", "case")}, **texts, **code,
        "values": values,
        "hints": tuple(fill(h, shown) for h in entry["hints"]),
        "given": tuple(fill(g, values) for g in entry.get("given", ())),
        "parts": tuple(_make(Part, _filled(p, shown), file, entry["id"]) for p in entry.get("part", ())),
        "rubric": tuple(fill(r, shown) for r in entry.get("rubric", ())),
        "cases": tuple(_make(Case, c, file, entry["id"]) for c in entry.get("case", ())),
        "mistakes": {n: fill(m, shown) for n, m in entry.get("mistakes", {}).items()},
    }, file)  # fmt: skip


def draw(id: str, vary: Mapping[str, list[Value]], seed: int) -> dict[str, Value]:
    """The numbers of one student: a pure function of exercise, name and seed. Seed 0 takes the first of each list."""
    drawn = {}
    for name, values in vary.items():
        digest = hashlib.sha256(f"{id}/{name}/{seed}".encode()).digest()
        drawn[name] = values[int.from_bytes(digest[:8], "big") % len(values) if seed else 0]
    return drawn


def _filled(fields: Mapping[str, Any], values: Mapping[str, object]) -> dict[str, Any]:
    return {n: fill(v, values) if isinstance(v, str) else v for n, v in fields.items()}


def _need(entry: Mapping[str, Any], file: str, names: tuple[str, ...]) -> None:
    for name in names:
        if not entry.get(name):
            raise LessonError(f"{file}, entry {entry.get('id', '(without id)')}, field {name}: missing or empty")


def _make(cls: Any, fields: Mapping[str, Any], file: str, where: str = "") -> Any:
    unknown = set(fields) - set(cls.__dataclass_fields__)
    if unknown:
        raise LessonError(f"{file}, entry {where or fields['id']}, field {min(unknown)}: not known")
    try:
        return cls(**fields)
    except TypeError as error:  # a field without a default is missing
        raise LessonError(f"{file}, entry {where or fields['id']}: {error}") from None
