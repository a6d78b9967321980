"""The spec as the body of a request."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Body
from pydantic import BeforeValidator

from service.spec import SearchSpec


def _refuse_unstorable_text(value: Any) -> Any:
    """Refuse what JSON can spell and a database or UTF-8 cannot hold: NUL and halves of surrogate pairs."""
    for text in _texts(value):
        if "\x00" in text or any("\ud800" <= character <= "\udfff" for character in text):
            raise ValueError(
                f"text without NUL characters and lone surrogates, which {text!a} contains"
            )
    return value


def _texts(value: Any) -> list[str]:
    """Collect every string of a JSON document, keys included."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for pair in value.items() for item in pair for text in _texts(item)]
    if isinstance(value, list):
        return [text for item in value for text in _texts(item)]
    return []


SpecBody = Annotated[SearchSpec, Body(), BeforeValidator(_refuse_unstorable_text)]
