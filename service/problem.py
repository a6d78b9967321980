"""Problem documents (RFC 9457): the one shape of everything that goes wrong."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from http import HTTPStatus

from pydantic import BaseModel, ConfigDict, Field

from search.errors import DataError, InvalidInputError, UnknownPluginError

MEDIA_TYPE = "application/problem+json"
LONGEST_SHOWN = 200

Shown = None | bool | int | float | str


class FieldProblem(BaseModel):
    """One field that is wrong."""

    model_config = ConfigDict(frozen=True)

    field: str = Field(description="dotted path, dataset.train_size say")
    given: Shown = Field(description="what came; long or nested values are cut to text")
    expected: str = Field(description="what was expected and, where there is one, the way out")

    def __str__(self) -> str:
        return f"{self.field}: {self.given!r} given, expected {self.expected}"


class Problem(BaseModel):
    """What went wrong, for programs (``code``) and for people (``detail``)."""

    model_config = ConfigDict(frozen=True)

    type: str = Field(description="URI of the kind of problem")
    title: str = Field(description="the kind of problem, in words")
    status: int = Field(description="the HTTP status")
    detail: str = Field(description="this occurrence of it")
    code: str = Field(description="the kind of problem, stable, for programs")
    errors: tuple[FieldProblem, ...] = Field((), description="every field that is wrong")


def problem(status: int, code: str, detail: str, errors: Sequence[FieldProblem] = ()) -> Problem:
    """Build a document; ``code`` in snake case gives type and title."""
    return Problem(
        type=f"urn:transfermask:problem:{code.replace('_', '-')}",
        title=code.replace("_", " ").capitalize(),
        status=status,
        detail=detail,
        code=code,
        errors=tuple(errors),
    )


def problem_of_fields(errors: Sequence[FieldProblem], code: str = "invalid_input") -> Problem:
    """Build the 422 that names every bad field."""
    names = ", ".join(dict.fromkeys(error.field for error in errors))
    return problem(
        HTTPStatus.UNPROCESSABLE_ENTITY, code, f"{_count(len(errors))} wrong: {names}", errors
    )


def problem_of_inputs(errors: Sequence[InvalidInputError]) -> Problem:
    """Build the 422 for errors that the spec's own checks, or the data, raised."""
    fields = [
        FieldProblem(field=error.field, given=shown(error.given), expected=error.expected)
        for error in errors
    ]
    return problem_of_fields(fields, _code_of(errors))


def shown(value: object) -> Shown:
    """Give a value in a form that always fits into JSON: scalars as they are, the rest as cut text."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    text = value if isinstance(value, str) else _as_text(value)
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return text if len(text) <= LONGEST_SHOWN else text[: LONGEST_SHOWN - 1] + "…"


def _as_text(value: object) -> str:
    try:
        return json.dumps(value)
    except (TypeError, ValueError):
        return str(value)


def _code_of(errors: Sequence[InvalidInputError]) -> str:
    if any(isinstance(error, UnknownPluginError) for error in errors):
        return "unknown_plugin"
    if any(isinstance(error, DataError) for error in errors):
        return "unsuitable_data"
    return "invalid_input"


def _count(n: int) -> str:
    return "1 field is" if n == 1 else f"{n} fields are"
