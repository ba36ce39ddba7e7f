"""The words that a reader sees (labels, help, hints, sentences), kept as data so that they can be translated."""

from __future__ import annotations

import functools
import os
import tomllib
from importlib import resources
from typing import Any


@functools.cache
def _tree(language: str) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    folder = resources.files("virtlab") / "words" / language
    if not folder.is_dir():
        raise LookupError(
            f"no words for language '{language}'; set VIRTLAB_LANGUAGE to one that virtlab has, such as en"
        )
    for file in sorted(folder.iterdir(), key=lambda f: f.name):
        if file.name.endswith(".toml"):
            with file.open("rb") as stream:
                tree[file.name.removesuffix(".toml")] = tomllib.load(stream)
    return tree


def language() -> str:
    """The language in force: environment variable VIRTLAB_LANGUAGE, else English."""
    return os.environ.get("VIRTLAB_LANGUAGE", "en")


def words(key: str) -> Any:
    """The entry at a dotted key, for example ``parameter.kick_batch.label``: a text, a list or a table."""
    node: Any = _tree(language())
    for part in key.split("."):
        if not isinstance(node, dict) or part not in node:
            raise LookupError(f"words/{language()} has no entry '{key}' (it ends at '{part}')")
        node = node[part]
    return node


def say(key: str, **values: Any) -> str:
    """The sentence template at ``key``, filled with values that the caller has already formatted."""
    return str(words(key)).format(**values)
