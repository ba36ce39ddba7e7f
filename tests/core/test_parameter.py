"""One declaration of a parameter: defaults, ranges, errors that teach, JSON, frozen, table, strategies."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.strategies import settings_of, values_of
from virtlab.core.parameter import ParameterError, Parameters, out_of_range, parameter, same
from virtlab.evidence import FACTS
from virtlab.paths import Costs, Load, PathOptions

ALL = (PathOptions, Costs, Load)


@dataclass(frozen=True)
class _Given:
    id: str
    value: float
    unit: str


PACKETS, SHARE = _Given("some.packets", 8.0, "packets"), _Given("some.share", 0.25, "1")


class Small(Parameters):
    kick_batch: int = parameter(PACKETS, ge=1, le=64, log=True)
    refill_batch: int | None = parameter(PACKETS, ge=1, le=64, follows="kick_batch")
    share_cpu: float = parameter(SHARE, ge=0, le=1)
    direction: Literal["tx", "rx"] = parameter(SHARE, default="rx")
    apicv: bool = parameter(SHARE, default=True)


# --- what follows from a declaration -------------------------------------------------------------------------------


def test_the_default_is_the_value_of_the_fact_unless_a_choice_follows_from_it():
    assert (Small().kick_batch, Small().refill_batch, Small().share_cpu, Small().direction) == (8, None, 0.25, "rx")


def test_a_spec_knows_kind_range_unit_and_fact():
    spec = Small.specs()["kick_batch"]
    assert (spec.kind, spec.low, spec.high, spec.unit, spec.log, spec.fact) == (
        "int",
        1,
        64,
        "packets",
        True,
        "some.packets",
    )
    kinds = {name: s.kind for name, s in Small.specs().items()}
    assert kinds == {
        "kick_batch": "int",
        "refill_batch": "int",
        "share_cpu": "float",
        "direction": "choice",
        "apicv": "bool",
    }


def test_specs_keep_the_order_of_declaration():
    assert list(Small.specs()) == ["kick_batch", "refill_batch", "share_cpu", "direction", "apicv"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("kick_batch", "1 to 64 packets"),
        ("refill_batch", "1 to 64 packets, or None to follow kick_batch"),
        ("share_cpu", "0 to 1"),
        ("direction", "tx or rx"),
        ("apicv", "True or False"),
    ],
)
def test_a_range_reads_as_a_person_says_it(name, text):
    assert Small.specs()[name].range_text() == text


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("kick_batch", 8, "8 packets"),
        ("refill_batch", None, "as kick_batch"),
        ("direction", "tx", "TX (sending)"),
        ("apicv", True, "on"),
        ("apicv", False, "off"),
    ],
)
def test_a_value_shows_as_a_person_reads_it(name, value, text):
    assert Small.specs()[name].show(value) == text


@pytest.mark.parametrize("cls", ALL)
def test_the_table_has_one_row_a_parameter(cls):
    table = cls.table()
    assert [row[0] for row in table.rows] == list(cls.specs())
    assert all(all(cell.strip() for cell in row) for row in table.rows), "an empty cell"


@pytest.mark.parametrize("cls", ALL)
def test_every_parameter_has_label_help_and_reason(cls):
    for spec in cls.specs().values():
        assert spec.label and spec.help and spec.why, f"words/en/parameter.toml: [{spec.name}] lacks a word"


def test_a_number_without_range_is_refused_when_it_is_declared():
    class Endless(Parameters):
        kick_batch: int = parameter(PACKETS, ge=1)

    with pytest.raises(TypeError, match="'kick_batch' is a number: declare both ge and le"):
        Endless.specs()


def test_a_text_is_no_parameter():
    class Text(Parameters):
        name: str = parameter(PACKETS, default="a")

    with pytest.raises(TypeError, match="'name' must be int, float, bool or Literal"):
        Text.specs()


def test_a_default_outside_its_range_is_refused():
    class Off(Parameters):
        kick_batch: int = parameter(PACKETS, ge=9, le=64)

    with pytest.raises(ParameterError, match="kick_batch must be 9 to 64 packets; you gave 8"):
        Off()


# --- errors that teach ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [0, 65, -1, 1.5, "8", True, None, float("nan"), [8]])
def test_a_wrong_value_is_answered_with_name_range_unit_and_reason(wrong):
    with pytest.raises(ParameterError) as error:
        Small(kick_batch=wrong)
    assert str(error.value).startswith("kick_batch must be 1 to 64 packets; you gave ")
    assert "with 0 packets nothing is ever sent" in str(error.value)
    assert "\n" not in str(error.value), "one sentence"


def test_an_error_shows_neither_pydantic_nor_a_traceback_of_it():
    with pytest.raises(ParameterError) as error:
        Small(kick_batch=0)
    assert error.value.__suppress_context__ and "pydantic" not in str(error.value)
    assert isinstance(error.value, ValueError)


@pytest.mark.parametrize("cls", ALL)
def test_every_end_of_every_range_is_allowed_and_a_step_beyond_is_not(cls):
    for spec in cls.specs().values():
        if spec.kind not in ("int", "float"):
            continue
        for end, beyond in ((spec.low, -1), (spec.high, 1)):
            value = int(end) if spec.kind == "int" else float(end)
            outside = value + beyond if spec.kind == "int" else np.nextafter(value, beyond * np.inf).item()
            with pytest.raises(ParameterError, match=f"^{spec.name} must be .*; you gave "):
                cls(**{spec.name: outside})
            if cls is not Costs:  # there, one end of a pair may contradict the default of the other
                assert getattr(cls(**{spec.name: value}), spec.name) == value


def test_an_unknown_name_is_answered_with_the_nearest_or_with_all():
    with pytest.raises(ParameterError, match="there is no parameter 'kick_bach'; did you mean kick_batch?"):
        Small(kick_bach=8)
    with pytest.raises(ParameterError, match="no parameter 'zzz'; there are kick_batch, refill_batch, share_cpu"):
        Small(zzz=8)


@pytest.mark.parametrize("wrong", ["up", "TX", 1, None])
def test_a_wrong_choice_is_answered_with_the_choices(wrong):
    with pytest.raises(ParameterError, match="direction must be tx or rx; you gave"):
        Small(direction=wrong)


def test_infinite_and_missing_numbers_are_named_as_such():
    for given_, text in ((float("nan"), "nan"), (float("inf"), "inf")):
        with pytest.raises(ParameterError, match=f"share_cpu must be 0 to 1; you gave '{text}'"):
            Small(share_cpu=given_)


def test_replace_is_validated_like_a_new_one():
    assert Small().replace(kick_batch=9).kick_batch == 9
    with pytest.raises(ParameterError, match="kick_batch must be"):
        Small().replace(kick_batch=0)
    with pytest.raises(ParameterError, match="no parameter"):
        Small().replace(kick=1)


def test_a_sentence_without_reason_still_ends_well():
    spec = Small.specs()["share_cpu"]
    assert out_of_range(spec, 2).endswith(f": {spec.why}.")


# --- values --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_", "kept"), [(np.int64(9), 9), (np.int32(9), 9), (np.float64(9), None), (np.array([9]), None)]
)
def test_a_whole_numpy_number_is_as_good_as_pythons(given_, kept):
    if kept is None:
        with pytest.raises(ParameterError, match="kick_batch must be 1 to 64 packets"):
            Small(kick_batch=given_)
    else:
        assert Small(kick_batch=given_).kick_batch == kept
        assert type(Small(kick_batch=given_).kick_batch) is int


def test_numpy_floats_and_bools_are_taken_too():
    small = Small(share_cpu=np.float32(0.5), apicv=np.bool_(False))
    assert (small.share_cpu, small.apicv) == (0.5, False)


@given(st.sampled_from(ALL).flatmap(settings_of))
def test_a_setting_survives_json(setting):
    text = setting.model_dump_json()
    assert type(setting).model_validate_json(text) == setting


@given(st.sampled_from(ALL).flatmap(settings_of))
def test_a_setting_survives_pickle_and_copy(setting):
    assert pickle.loads(pickle.dumps(setting)) == setting == copy.deepcopy(setting)


def test_a_damaged_json_setting_is_refused_with_the_same_sentence():
    with pytest.raises(ValueError, match="kick_batch must be 1 to 64 packets; you gave 0"):
        Small.model_validate_json('{"kick_batch": 0}')


def test_a_setting_is_frozen_and_can_be_a_key():
    with pytest.raises(ValidationError, match="frozen"):
        Small().kick_batch = 9
    assert {Small(): 1}[Small()] == 1


# --- strategies ----------------------------------------------------------------------------------------------------


@given(st.data())
def test_strategies_give_allowed_values_only(data):
    spec = Small.specs()[data.draw(st.sampled_from(list(Small.specs())))]
    value = data.draw(values_of(spec))
    assert getattr(Small(**{spec.name: value}), spec.name) == value


def _drawn(strategy):
    seen = set()

    @given(strategy)
    def draw(value):
        seen.add(value)

    draw()
    return seen


@pytest.mark.parametrize("cls", ALL)
def test_strategies_reach_both_ends_of_every_range(cls):
    for spec in cls.specs().values():
        if spec.kind in ("int", "float"):
            assert {spec.low, spec.high} <= _drawn(values_of(spec)), f"{spec.name} misses an end"


@given(settings_of(PathOptions, kick_batch=3))
def test_strategies_keep_what_is_fixed_and_forbid_what_cannot_be(options):
    assert options.kick_batch == 3
    assert options.apicv or not options.posted


def test_a_field_taken_over_is_the_same_but_for_a_narrower_range():
    class Model(Parameters):
        rate_per_s: float = parameter(FACTS["exit.rate.default"], ge=0, le=1_000_000, log=False, step=500)
        access: Literal["pio", "mmio"] = parameter(FACTS["lab.exit.access"], default="pio")

    class Setting(Parameters):
        access: Literal["pio", "mmio"] = same(Model, "access")
        rate_per_s: float = same(Model, "rate_per_s", ge=100)

    assert Setting.specs()["access"] == Model.specs()["access"]
    assert Setting.specs()["rate_per_s"] == dataclasses.replace(Model.specs()["rate_per_s"], low=100)
    with pytest.raises(ParameterError, match="rate_per_s must be 100 to 1,000,000"):
        Setting(rate_per_s=50)
