"""What the forms share: a line that a screen reader announces, and a close that leaves nothing in the kernel."""

from __future__ import annotations

import html
from typing import Any

import ipywidgets as widgets

#: Labels as long as they are, instead of cut off.
WIDE = {"description_width": "initial"}


class Form(widgets.VBox):
    """A column of fields."""

    def sentence(self) -> str:
        """The form as one sentence, for places that have no kernel."""
        raise NotImplementedError

    def close(self) -> None:
        """Removes the form and all that belongs to it from the kernel."""
        for child in (*self.children, self):
            for part in (child.layout, getattr(child, "style", None)):
                if isinstance(part, widgets.Widget):
                    part.close()
            if child is not self:
                child.close()
        super().close()

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        return {**(super()._repr_mimebundle_(**kwargs) or {}), "text/plain": self.sentence()}


def status(text: str, body: str = "") -> str:
    """HTML that is read out when it changes."""
    return f'<div role="status" aria-live="polite">{html.escape(text)}{body}</div>'
