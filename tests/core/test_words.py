"""Words as data: found by key, filled by name, missed loudly."""

from __future__ import annotations

import string
from typing import Any

import pytest

from virtlab.core import words as module
from virtlab.core.words import language, say, words


def _texts(node: Any, key: str = "") -> list[tuple[str, str]]:
    if isinstance(node, dict):
        return [pair for k, v in node.items() for pair in _texts(v, f"{key}.{k}")]
    if isinstance(node, list):
        return [pair for k, v in enumerate(node) for pair in _texts(v, f"{key}.{k}")]
    return [(key, node)] if isinstance(node, str) else []


def test_a_dotted_key_leads_to_a_text_or_a_table():
    assert words("place.guest") == "guest"
    assert words("parameter.kick_batch")["label"] == "Packets per kick"


@pytest.mark.parametrize(
    ("key", "part"), [("nothing.here", "nothing"), ("place.moon", "moon"), ("place.guest.deeper", "deeper")]
)
def test_a_missing_key_is_named_with_the_part_that_ends_it(key, part):
    with pytest.raises(LookupError, match=f"words/en has no entry '{key}' .*'{part}'"):
        words(key)


def test_a_sentence_is_filled_by_name():
    assert say("paths.counts", path="vhost-net", direction="TX") == "vhost-net, TX: what one packet causes"


def test_english_is_the_language_unless_another_is_asked_for(monkeypatch):
    monkeypatch.delenv("VIRTLAB_LANGUAGE", raising=False)
    assert language() == "en"
    monkeypatch.setenv("VIRTLAB_LANGUAGE", "xx")
    with pytest.raises(LookupError, match="no words for language 'xx'; set VIRTLAB_LANGUAGE"):
        words("place.guest")


def test_no_text_is_empty_and_every_template_is_well_formed():
    for key, text in _texts(module._tree("en")):
        assert text.strip(), f"{key} is empty"
        list(string.Formatter().parse(text))  # raises on an unbalanced brace
