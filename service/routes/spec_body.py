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
    """Collect every string of a JSON document, keys included; however deep it is nested."""
    texts, rest = [], [value]
    while rest:
        item = rest.pop()
        if isinstance(item, str):
            texts.append(item)
        elif isinstance(item, dict):
            rest += [*item.keys(), *item.values()]
        elif isinstance(item, list):
            rest += item
    return texts


SpecBody = Annotated[SearchSpec, Body(), BeforeValidator(_refuse_unstorable_text)]
