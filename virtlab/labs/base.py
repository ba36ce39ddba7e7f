"""A lab: parameters, a model, a picture and one sentence. A slider and an attribute do the same thing."""

from __future__ import annotations

import base64
import functools
import html
import json
import os
import traceback
from abc import abstractmethod
from typing import Any, ClassVar, cast

import ipywidgets as widgets
import traitlets

from virtlab.core.parameter import ParameterError, Parameters, unknown
from virtlab.core.words import say, words
from virtlab.figures import canvas
from virtlab.figures.style import LOOKS, Theme, default_theme
from virtlab.labs.controls import Control


class _ParameterTrait(traitlets.TraitType[Any, Any]):
    """An attribute of a lab that is one parameter: a wrong value raises the parameter's own error."""

    def validate(self, obj: Any, value: Any) -> Any:
        value = value.item() if hasattr(value, "item") else value  # NumPy scalars
        return getattr(obj.Setting(**{str(self.name): value}), str(self.name))


class Lab(widgets.VBox):
    """Base of all labs.

    A subclass names its ``Setting`` (parameters), its ``Picture`` and the controls shown at first (``visible``, at most
    four), and writes ``solve`` and ``sentence``. Each parameter is then an attribute: ``lab.kick_batch = 32`` does
    exactly what the slider does. Raises ParameterError for a value out of range.
    """

    Setting: ClassVar[type[Parameters]]
    Picture: ClassVar[type[canvas.Picture[Any]]]
    visible: ClassVar[tuple[str, ...]] = ()
    prediction_id: ClassVar[str] = ""
    #: Whether an error in a redraw is raised as well as shown (tests set VIRTLAB_STRICT=1).
    strict: ClassVar[bool] = os.environ.get("VIRTLAB_STRICT") == "1"

    theme = traitlets.Enum(tuple(LOOKS), help="light or dark")
    #: Size of the picture, 1 = 960 px wide; not a parameter of the model.
    scale: ClassVar[float] = 1.0

    #: What went wrong in the last redraw, if anything did.
    error: BaseException | None = None
    #: What ``solve`` gave last.
    result: Any = None
    #: How often the picture was drawn.
    redraws: int = 0

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not hasattr(cls, "Setting"):
            return  # a base of several labs
        for name, spec in cls.Setting.specs().items():
            if hasattr(Lab, name):
                raise TypeError(f"parameter '{name}' of {cls.__name__} has the name of something that every lab has")
            trait = _ParameterTrait(default_value=spec.default)
            setattr(cls, name, trait)
            trait.class_init(cls, name)  # what traitlets does for traits in the class body

    def __init__(self, **values: Any) -> None:
        self._busy = True  # no redraw before everything stands
        self._kept: Any = None
        self._png = b""
        self._sentence = ""
        theme = values.pop("theme", default_theme())
        self._specs = self.Setting.specs()
        start = self.Setting(**values)
        self._controls = {n: Control(s, functools.partial(setattr, self, n)) for n, s in self._specs.items()}
        self._image = widgets.HTML()
        self._text = widgets.HTML()
        self._code = widgets.Text(
            description=words("lab.python"), tooltip=words("lab.python_help"), style={"description_width": "initial"},
            layout=widgets.Layout(width="36em"),
        )  # fmt: skip
        self._buttons = {
            key: widgets.Button(
                description=words(f"lab.{key}"), tooltip=words(f"lab.{key}_help"), layout=widgets.Layout(width="auto")
            )
            for key in ("reset", "keep")
        }  # fmt: skip
        self._buttons["reset"].on_click(lambda _: self.reset())
        self._buttons["keep"].on_click(lambda _: self.keep() if self._kept is None else self.forget())
        super().__init__(self._layout(), theme=theme)
        self.add_class("virtlab-lab")
        self._picture = self._draw_anew()
        for name in self._specs:
            setattr(self, name, getattr(start, name))
        self.observe(self._changed, names=list(self._specs))
        self.observe(self._wear_theme, names=["theme"])
        self._busy = False
        _close_earlier(self)
        self._refresh()

    # --- what a subclass writes -------------------------------------------------------------------------------------

    @abstractmethod
    def solve(self, setting: Any) -> Any:
        """The model: from a setting to a result, without side effects."""

    @abstractmethod
    def sentence(self, setting: Any, result: Any) -> str:
        """The result in one sentence, with its numbers."""

    # --- what a reader, a cell or a test uses -----------------------------------------------------------------------

    @property
    def setting(self) -> Any:
        """The parameters as they stand, as one frozen object."""
        return self.Setting(**{name: getattr(self, name) for name in self._specs})

    def __setattr__(self, name: str, value: Any) -> None:
        # A misspelt parameter would otherwise become a new attribute that moves nothing.
        if not name.startswith("_") and not hasattr(type(self), name):
            raise ParameterError(unknown(name, self.Setting.specs()))
        super().__setattr__(name, value)

    def set(self, **values: Any) -> None:
        """Sets several parameters and redraws once."""
        new = self.setting.replace(**values)  # all values are checked, together, before any is set
        self._busy = True
        try:
            for name in values:
                setattr(self, name, getattr(new, name))
        finally:
            self._busy = False
        self._refresh()

    def reset(self) -> None:
        """All parameters back to their defaults, and no ghost."""
        self._kept = None
        self.set(**{name: spec.default for name, spec in self._specs.items()})

    def keep(self) -> None:
        """Keeps the present result as a ghost to compare the next ones with."""
        self._kept = self.result
        self._refresh()

    def forget(self) -> None:
        """Drops the kept result."""
        self._kept = None
        self._refresh()

    def describe(self) -> str:
        """The one sentence that states the result; the text alternative of the picture."""
        return self._sentence

    def as_python(self) -> str:
        """The code that makes this lab with this setting; defaults are left out."""
        return f"{type(self).__name__}({', '.join(f'{n}={v!r}' for n, v in self._changed_values().items())})"

    def as_json(self, **more: Any) -> str:
        """This lab and its setting as JSON text, to save or to send. Defaults are left out; ``more`` is put first."""
        return json.dumps({**more, "lab": type(self).__name__, "setting": self._changed_values()})

    def __repr__(self) -> str:
        return self.as_python()

    @property
    def png(self) -> bytes:
        """The picture as it is shown."""
        return self._png

    def close(self) -> None:
        """Removes the lab and everything that belongs to it from the kernel."""
        self.unobserve_all()
        for widget in _all_below(self):
            widget.close()
        super().close()

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """The live widget, and beside it the picture and the sentence for places that have no kernel."""
        bundle = super()._repr_mimebundle_(**kwargs) or {}
        data = dict(bundle[0] if isinstance(bundle, tuple) else bundle)
        data["image/png"] = base64.b64encode(self._png).decode()
        data["text/plain"] = self._sentence
        return data, {"image/png": {"alt": self._sentence}}

    # --- how it works -----------------------------------------------------------------------------------------------

    def _changed_values(self) -> dict[str, Any]:
        return {n: getattr(self, n) for n, s in self._specs.items() if getattr(self, n) != s.default}

    def _layout(self) -> list[Any]:
        shown = [self._controls[n].row for n in self.visible or self._specs]
        hidden = [c.row for n, c in self._controls.items() if self.visible and n not in self.visible]
        buttons = widgets.HBox([*self._buttons.values(), self._code], layout=widgets.Layout(flex_flow="row wrap"))
        parts: list[Any] = [*shown]
        if hidden:
            more = widgets.Accordion([widgets.VBox(hidden)], titles=(words("lab.more"),), selected_index=None)
            parts.append(more)
        return [*parts, self._image, self._text, buttons]

    def _changed(self, _change: Any) -> None:
        if not self._busy:
            self._refresh()

    def _wear_theme(self, _change: Any) -> None:
        self._picture = self._draw_anew()
        self._refresh()

    def _draw_anew(self) -> canvas.Picture[Any]:
        return self.Picture(cast(Theme, self.theme), self.scale)

    def _refresh(self) -> None:
        self.redraws += 1
        for name, control in self._controls.items():
            control.show(getattr(self, name))
        self._code.value = self.as_python()
        try:
            setting = self.setting
            self.result = self.solve(setting)
            self._picture.show(self.result, self._kept, self._prediction())
            self._sentence = self.sentence(setting, self.result)
            self._png = self._picture.png()
        except Exception as error:
            # Outside a cell an exception is invisible in a notebook, so it is shown here.
            self.error = error
            self._text.value = f'<pre role="alert" style="white-space:pre-wrap">{_trouble()}</pre>'
            if self.strict:
                raise
            return
        self.error = None
        self._image.value = (
            f'<img alt="{html.escape(self._sentence, quote=True)}" style="max-width:100%" '
            f'src="data:image/png;base64,{base64.b64encode(self._png).decode()}">'
        )
        self._text.value = (
            f'<div role="status" aria-live="polite">{html.escape(self._sentence)}</div>{self._prediction_note()}'
        )
        self._buttons["keep"].description = words("lab.keep" if self._kept is None else "lab.forget")

    def _prediction(self) -> Any:
        if not self.prediction_id:
            return None
        from virtlab import lessons

        return lessons.prediction(self.prediction_id)

    def _prediction_note(self) -> str:
        """What the reader predicted, or that nothing was predicted: the lab shows its result either way."""
        if not self.prediction_id:
            return ""
        kept = self._prediction()
        if kept is None:
            return f"<small>{words('lab.no_prediction')}</small>"
        text = ", ".join(words(f"path.{path}.title") for path in kept) if isinstance(kept, tuple) else f"{kept:g}"
        return f"<small>{say('lab.your_prediction', prediction=html.escape(text))}</small>"


def _trouble() -> str:
    lines = html.escape(traceback.format_exc(limit=-3))
    return f"{words('lab.problem')}:\n{lines}"


def _all_below(widget: Any) -> list[Any]:
    """Every widget that belongs to ``widget``, with its layout and style, the innermost first."""
    found: list[Any] = []
    for child in getattr(widget, "children", ()):
        found += [*_all_below(child), child]
    for part in ("layout", "style"):
        if isinstance(getattr(widget, part, None), widgets.Widget):
            found.append(getattr(widget, part))
    return found


_open: dict[tuple[str, str], tuple[str, list[Lab]]] = {}


def _close_earlier(lab: Lab) -> None:
    """A cell that runs again replaces its lab: the one of the earlier run would stay in the kernel for ever."""
    try:
        from IPython.core.getipython import get_ipython

        shell: Any = get_ipython()
        parent = shell.kernel.get_parent("shell")
        cell, run = parent["metadata"]["cellId"], parent["header"]["msg_id"]
    except (AttributeError, KeyError, TypeError):
        return  # no kernel, or a front end that does not name its cells
    earlier_run, labs = _open.get((cell, type(lab).__name__), ("", []))
    if earlier_run != run:
        for old in labs:
            old.close()
        labs = []
    _open[cell, type(lab).__name__] = (run, [*labs, lab])
