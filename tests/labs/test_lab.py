"""What every lab does, whatever it is about."""
import base64
import functools
import gc
import io
import json
from types import SimpleNamespace

import ipywidgets as widgets
import pytest
from ipywidgets.widgets.widget import _instances
from PIL import Image

from tests.conftest import WITHOUT_KERNELS
from tests.labs.conftest import alt, from_the_browser, in_light, other, read_out, widgets_of
from virtlab import labs
from virtlab.core.jit import Kernel
from virtlab.core.parameter import ParameterError, Parameters, parameter
from virtlab.evidence import FACTS
from virtlab.labs import FleetLab, JourneyLab, LadderLab
from virtlab.labs.base import Lab


class Broken(Exception):
    pass


def break_(monkeypatch, cls, message="no such thing & <never>"):
    def solve(self, setting):
        raise Broken(message)

    monkeypatch.setattr(cls, "solve", solve)


@functools.cache
def opened(cls):
    """Setting and picture of a lab that opened with other values than the defaults."""
    lab = cls(**other(cls))
    lab.close()
    return lab.setting, lab.png


# ------------------------------------------------- parameters are attributes

def test_each_parameter_is_an_attribute_at_its_default(lab):
    for name, spec in lab.Setting.specs().items():
        assert getattr(lab, name) == spec.default, name


def test_an_attribute_moves_the_picture_and_the_sentence(lab, cls):
    before = lab.png, lab.describe()
    lab.set(**other(cls))
    assert lab.png != before[0]
    assert lab.describe() != before[1]


def test_one_attribute_is_one_redraw(lab, cls, undrawn):
    for name, value in other(cls).items():
        before, moves = lab.redraws, getattr(lab, name) != value  # another parameter may have brought it already
        setattr(lab, name, value)
        assert lab.redraws == before + moves, name


def test_set_redraws_once_for_all(lab, cls, undrawn):
    before = lab.redraws
    lab.set(**other(cls))
    assert lab.redraws == before + 1
    assert lab.setting == cls.Setting(**other(cls))


def test_a_lab_opens_with_the_setting_it_is_given(lab, cls):
    lab.set(**other(cls))
    assert opened(cls) == (lab.setting, lab.png)


def test_numpy_numbers_are_taken_as_numbers():
    np = pytest.importorskip("numpy")
    lab = LadderLab(batch=np.int64(8))
    lab.batch = np.int32(16)
    assert lab.batch == 16 and type(lab.batch) is int


def out_of_range(spec):
    if spec.kind == "choice":
        return "nonsense"
    return "yes" if spec.kind == "bool" else spec.high + 1


@pytest.mark.parametrize("way", ["attribute", "set", "at the start"])
def test_out_of_range_teaches_and_changes_nothing(lab, cls, way):
    before = lab.setting, lab.png, lab.describe(), lab.redraws
    for name, spec in cls.Setting.specs().items():
        wrong = out_of_range(spec)
        with pytest.raises(ParameterError) as caught:
            if way == "attribute":
                setattr(lab, name, wrong)
            elif way == "set":
                lab.set(**{**other(cls), name: wrong})
            else:
                cls(**{name: wrong})
        for part in (name, spec.range_text(), repr(wrong)):
            assert part in str(caught.value), f"the message about {name} lacks {part!r}: {caught.value}"
        assert (lab.setting, lab.png, lab.describe(), lab.redraws) == before, f"{name} = {wrong!r} left a trace"


@pytest.mark.parametrize("way", ["attribute", "set", "at the start"])
def test_a_misspelt_parameter_is_no_new_attribute(lab, cls, way):
    name = next(iter(cls.Setting.specs()))
    wrong = name[:-1] + "_x"
    with pytest.raises(ParameterError, match=f"did you mean {name}"):
        if way == "attribute":
            setattr(lab, wrong, 1)
        elif way == "set":
            lab.set(**{wrong: 1})
        else:
            cls(**{wrong: 1})


def test_a_parameter_cannot_take_the_name_of_something_every_lab_has():
    for name in ("result", "error", "layout", "png", "theme"):
        setting = type("S", (Parameters,), {
            "__annotations__": {name: int}, name: parameter(FACTS["virtio.batch.none"], ge=1, le=64),
        })  # fmt: skip
        with pytest.raises(TypeError, match=name):
            type("BadLab", (Lab,), {"Setting": setting})


def test_reset_returns_to_the_defaults_and_drops_the_ghost(lab, cls):
    before = lab.png
    lab.keep()
    lab.set(**other(cls))
    lab.reset()
    assert lab.setting == cls.Setting()
    assert lab.png == before


def test_the_code_and_the_json_make_the_same_lab(lab, cls):
    assert lab.as_python() == f"{cls.__name__}()", "defaults are left out"
    lab.set(**other(cls))
    again = eval(lab.as_python(), {cls.__name__: cls})
    assert again.setting == lab.setting
    assert lab._code.value == repr(lab) == lab.as_python(), "the code field shows it"
    sent = json.loads(lab.as_json())
    assert sent["lab"] == cls.__name__ and cls.Setting(**sent["setting"]) == lab.setting, "as text it says the same"


# ------------------------------------------------- keep and compare

def test_keep_draws_a_ghost_behind_what_follows(lab, cls):
    lab.keep()
    lab.set(**other(cls))
    with_ghost = lab.png
    lab.forget()
    assert lab.png != with_ghost, "keep and compare shows nothing"
    assert lab.png == opened(cls)[1], "forget leaves something behind"


def test_the_keep_button_forgets_when_pressed_again(lab):
    button = lab._buttons["keep"]
    first = button.description
    button.click()
    assert lab._kept is not None and button.description != first
    button.click()
    assert lab._kept is None and button.description == first


def test_the_reset_button_resets(lab, cls):
    lab.set(**other(cls))
    lab._buttons["reset"].click()
    assert lab.setting == cls.Setting()


# ------------------------------------------------- one sentence everywhere, one picture

def test_the_sentence_is_the_text_alternative_everywhere(lab):
    data, metadata = lab._repr_mimebundle_()
    sentence = lab.describe()
    assert sentence.endswith("."), sentence
    assert data["text/plain"] == alt(lab) == read_out(lab, "status") == metadata["image/png"]["alt"] == sentence


def test_the_bundle_holds_the_live_widget_and_the_picture(lab):
    data, _ = lab._repr_mimebundle_()
    assert data["application/vnd.jupyter.widget-view+json"]["model_id"] == lab.model_id
    assert base64.b64decode(data["image/png"]) == lab.png
    assert data["image/png"] in lab._image.value


def test_the_picture_is_a_valid_png_of_the_stated_size(lab, cls):
    with Image.open(io.BytesIO(lab.png)) as image:
        image.verify()
    with Image.open(io.BytesIO(lab.png)) as image:
        assert image.format == "PNG"
        assert image.size == tuple(int(0.3 * side) for side in cls.Picture.size_px)


def test_two_labs_of_one_setting_show_the_same_bytes(cls):
    assert cls(**other(cls)).png == opened(cls)[1]


def test_the_theme_can_be_changed_at_any_time(cls):
    lab = in_light(cls)
    light, sentence = lab.png, lab.describe()
    lab.theme = "dark"
    assert lab.png == cls(theme="dark").png != light
    assert lab.describe() == sentence
    lab.theme = "light"
    assert lab.png == light


def test_an_unknown_theme_is_refused(lab):
    with pytest.raises(Exception, match="theme"):
        lab.theme = "pink"
    assert lab.theme in ("light", "dark")


# ------------------------------------------------- errors are seen

def test_an_error_is_shown_in_the_lab_and_kept(lab, cls, monkeypatch):
    monkeypatch.setattr(Lab, "strict", False)
    break_(monkeypatch, cls)
    name, value = next(iter(other(cls).items()))
    setattr(lab, name, value)
    assert isinstance(lab.error, Broken)
    assert "no such thing & <never>" in read_out(lab, "alert")
    assert "<never>" not in lab._text.value, "what an error says is text, not HTML"


def test_an_error_is_raised_where_tests_ask_for_it(lab, cls, monkeypatch):
    monkeypatch.setattr(Lab, "strict", True)
    break_(monkeypatch, cls)
    with pytest.raises(Broken):
        lab.set(**other(cls))
    assert "no such thing" in read_out(lab, "alert")


def test_the_controls_follow_even_when_the_picture_cannot(monkeypatch):
    monkeypatch.setattr(Lab, "strict", False)
    lab = LadderLab()
    break_(monkeypatch, LadderLab)
    lab.batch = 32
    assert lab._controls["batch"].inputs[0].value == 32


def test_the_next_good_setting_clears_the_error(lab, cls, monkeypatch):
    monkeypatch.setattr(Lab, "strict", False)
    with monkeypatch.context() as patch:
        break_(patch, cls)
        lab.set(**other(cls))
    lab.reset()
    assert lab.error is None
    assert read_out(lab, "alert") is None
    assert read_out(lab, "status") == lab.describe()


def test_tests_run_strict():
    assert Lab.strict, "VIRTLAB_STRICT=1 is set by the root conftest"


# ------------------------------------------------- controls

def test_every_parameter_has_a_control_with_a_label_and_a_help_text(lab):
    for name, spec in lab.Setting.specs().items():
        first = lab._controls[name].inputs[0]
        assert spec.label and first.description.startswith(spec.label), name
        shown = " ".join(w.value for w in widgets_of(lab._controls[name].row) if isinstance(w, widgets.HTML))
        assert spec.help and first.tooltip == spec.help, name
        assert shown, f"{name}: the help text is not on the page"


def test_a_number_has_a_named_field_beside_its_slider(lab):
    for name, spec in lab.Setting.specs().items():
        if spec.kind in ("int", "float"):
            field, slider = lab._controls[name].inputs
            assert isinstance(field, widgets.BoundedIntText | widgets.BoundedFloatText), name
            assert isinstance(slider, widgets.IntSlider | widgets.FloatSlider), name
            assert (field.min, field.max) == (spec.low, spec.high), name
            if spec.unit not in ("1", "share"):
                assert f"[{spec.unit}]" in field.description, f"{name}: no unit"


def test_no_label_is_cut_off(lab):
    for control in lab._controls.values():
        assert control.inputs[0].style.description_width == "initial", control.spec.name


def test_at_most_four_controls_stand_open(lab, cls):
    assert 1 <= len(cls.visible or lab._controls) <= 4
    assert set(cls.visible) <= set(lab._controls)


def test_no_two_controls_have_the_same_name(lab):
    names = [control.inputs[0].description for control in lab._controls.values()]
    assert len(names) == len(set(names)), names


def places(control, widget):
    """States that a front end may send for a control, with the value that each means."""
    if isinstance(widget, widgets.Dropdown):
        return [({"index": i}, value) for i, (_, value) in enumerate(widget.options)]
    if isinstance(widget, widgets.Checkbox):
        return [({"value": v}, v) for v in (True, False)]
    middle = (widget.min + widget.max) / 2
    middle = int(middle) if isinstance(widget, widgets.IntSlider | widgets.BoundedIntText) else middle
    return [({"value": v}, control._from_widget(widget, v)) for v in (widget.max, widget.min, middle)]


def test_a_control_does_exactly_what_the_attribute_does(lab, cls):
    by_hand = cls()
    for name in cls.Setting.specs():
        shown = {}  # by value: field and slider are sent to the same places
        for widget in lab._controls[name].inputs:
            for state, value in places(lab._controls[name], widget):
                from_the_browser(widget, **state)
                assert getattr(lab, name) == value, name
                if value not in shown:
                    setattr(by_hand, name, value)
                    shown[value] = by_hand.png, by_hand.describe(), [i.value for i in by_hand._controls[name].inputs]
                png, sentence, inputs = shown[value]
                assert lab.png == png, f"{name}: {state}"
                assert lab.describe() == sentence, f"{name}: {state}"
                assert [i.value for i in lab._controls[name].inputs] == inputs, f"{name}: field and slider disagree"
        setattr(by_hand, name, getattr(lab, name))


def test_one_move_of_a_control_is_at_most_one_redraw(lab, undrawn):
    for control in lab._controls.values():
        for widget in control.inputs:
            for state, _ in places(control, widget):
                before = lab.redraws
                from_the_browser(widget, **state)
                assert lab.redraws - before <= 1, control.spec.name


def test_a_slider_stays_where_it_was_put(lab, undrawn):
    """Were it sent to another place, it would fight with the hand that moves it."""
    for control in lab._controls.values():
        for slider in control.inputs[1:]:
            for position in {slider.min, slider.min + 1, slider.max} if isinstance(slider, widgets.IntSlider) else ():
                from_the_browser(slider, value=position)
                assert slider.value == position, control.spec.name


def test_every_step_of_a_slider_is_another_value(lab):
    for control in lab._controls.values():
        if control.spec.kind in ("int", "float"):
            slider, values = control.inputs[1], []
            for position in range(slider.min, slider.max + 1):
                values.append(control._from_widget(slider, position))
            assert len(set(values)) == len(values), f"{control.spec.name}: a key press would change nothing"
            assert (values[0], values[-1]) == (control.spec.low, control.spec.high)
            assert values == sorted(values)


def test_the_slider_of_a_default_stands_at_the_default(lab):
    for control in lab._controls.values():
        if control.spec.kind == "float" and not control.spec.log:
            slider = control.inputs[1]
            assert control._from_widget(slider, slider.value) == control.spec.default, control.spec.name


def test_no_output_widget_is_used(lab):
    """Exceptions and prints vanish in it, and strict nbval cannot follow it."""
    assert not [w for w in widgets_of(lab) if isinstance(w, widgets.Output)]


def test_the_live_region_speaks_once_per_redraw(lab, cls):
    assert lab._text.value.count('role="status"') == 1
    assert 'aria-live="polite"' in lab._text.value


@pytest.mark.parametrize("name", sorted(WITHOUT_KERNELS))
def test_a_lab_that_is_tested_once_calls_no_kernel(name, monkeypatch):
    monkeypatch.setattr(Kernel, "__call__", lambda *_, **__: pytest.fail("a kernel: test it without numba too"))
    cls = getattr(labs, name)
    lab = cls()
    lab.set(**other(cls))


# ------------------------------------------------- nothing stays in the kernel

def test_closing_leaves_no_widget_behind(cls, undrawn):
    before = set(_instances)
    lab = cls()
    lab.keep()
    assert len(set(_instances) - before) > 10
    lab.close()
    gc.collect()
    assert set(_instances) <= before, [type(_instances[k]).__name__ for k in set(_instances) - before]


def test_closing_one_lab_leaves_another_alive(cls, undrawn):
    one, other_ = cls(), cls()
    one.close()
    for widget in widgets_of(other_):
        for part in (widget, widget.layout, getattr(widget, "style", None)):
            if isinstance(part, widgets.Widget):
                assert part.comm is not None, f"{type(widget).__name__} lost its {type(part).__name__}"


@pytest.fixture
def kernel(monkeypatch):
    """A kernel that runs the cell that ``kernel.cell`` names, in its run number ``kernel.run``."""
    state = SimpleNamespace(cell="a", run=1)
    parent = lambda channel: {"metadata": {"cellId": state.cell}, "header": {"msg_id": f"run-{state.run}"}}  # noqa: E731
    shell = SimpleNamespace(kernel=SimpleNamespace(get_parent=parent))
    monkeypatch.setattr("IPython.core.getipython.get_ipython", lambda: shell)
    monkeypatch.setattr("virtlab.labs.base._open", {})
    return state


def is_open(lab):
    return lab.comm is not None


def test_a_cell_that_runs_again_closes_its_earlier_lab(cls, kernel, undrawn):
    first = cls()
    kernel.run = 2
    second = cls()
    assert not is_open(first) and is_open(second)
    count = len(_instances)
    kernel.run = 3
    cls()
    assert len(_instances) == count, "labs pile up in the kernel"


def test_two_labs_of_one_run_both_stay(kernel):
    one, two = LadderLab(), LadderLab()
    assert is_open(one) and is_open(two)
    kernel.run = 2
    LadderLab()
    assert not is_open(one) and not is_open(two)


def test_labs_of_other_cells_stay(kernel):
    one = LadderLab()
    kernel.cell, kernel.run = "b", 2
    LadderLab()
    assert is_open(one)


def test_labs_of_another_kind_in_the_cell_stay(kernel):
    one, other_ = JourneyLab(), FleetLab()
    kernel.run = 2
    JourneyLab()
    assert not is_open(one) and is_open(other_)
