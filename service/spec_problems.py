"""From pydantic's errors to problem documents: paths as users write them, and the way out of a misspelling."""

from __future__ import annotations

import difflib
import re
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from service.problem import FieldProblem, Problem, problem_of_fields, shown
from service.spec import SearchSpec

ErrorDetails = Mapping[str, Any]
# Where FastAPI found the value; a body's path is then looked up in the spec.
_BODY = "body"
_ELSEWHERE = ("query", "path", "header")
# Pydantic's words for these speak of Python.
_OBJECT_TYPES = ("model_attributes_type", "model_type", "dict_type")
MOST_DETAILS = 100


@dataclass(frozen=True, slots=True)
class _Place:
    """A place in a spec: its path as users write it, and the models that may stand there."""

    path: tuple[str, ...]
    models: tuple[type[BaseModel], ...]

    def child(self, name: str) -> str:
        return ".".join((*self.path, name))

    @property
    def kinds(self) -> list[str]:
        kinds = (model.model_fields.get("kind") for model in self.models)
        return sorted(str(kind.default) for kind in kinds if kind is not None)

    @property
    def keys(self) -> list[str]:
        return sorted({name for model in self.models for name in model.model_fields})


def problem_of_spec(error: ValidationError) -> Problem:
    """Build the document for a spec that was parsed outside a request."""
    return problem_of_details(
        [{**details, "loc": (_BODY, *details["loc"])} for details in error.errors()]
    )


def problem_of_details(details: Sequence[ErrorDetails]) -> Problem:
    """Build the document that names every bad field once.

    Args:
        details: Pydantic's errors; each ``loc`` starts with where FastAPI found the value.  Of very many only the first
            are looked at: a body of a megabyte can have a hundred thousand.
    """
    fields: dict[str, FieldProblem] = {}
    left_out = len(details) - MOST_DETAILS
    details = details[:MOST_DETAILS]
    for detail in details:
        if _counts_what_was_refused(detail, details):
            continue
        field = _field_problem(detail)
        earlier = fields.get(field.field)
        # The members of a union complain one by one about the same value.
        if earlier is not None and earlier.expected != field.expected:
            expected = f"{earlier.expected} or {field.expected}"
            field = earlier.model_copy(update={"expected": expected})
        fields[field.field] = field
    is_unknown_plugin = any(_is_unknown_plugin(detail) for detail in details)
    code = "unknown_plugin" if is_unknown_plugin else "invalid_input"
    document = problem_of_fields(list(fields.values()), code)
    if left_out > 0:
        more = f"{document.detail}, and {left_out} more errors"
        document = document.model_copy(update={"detail": more})
    return document


def _counts_what_was_refused(detail: ErrorDetails, details: Sequence[ErrorDetails]) -> bool:
    """Whether a list is called too short only because items of it were refused."""
    place = detail["loc"]
    return detail["type"] == "too_short" and any(
        len(other["loc"]) > len(place) and other["loc"][: len(place)] == place for other in details
    )


def _is_unknown_plugin(detail: ErrorDetails) -> bool:
    is_kind = detail["type"] == "literal_error" and detail["loc"][-1] == "kind"
    return bool(is_kind or detail["type"] == "union_tag_invalid")


def _field_problem(detail: ErrorDetails) -> FieldProblem:
    kind, location, given = detail["type"], detail["loc"], detail.get("input")
    place, last = _find(location, keeps_last=kind in ("extra_forbidden", "missing"))
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        tag = detail["ctx"].get("tag")
        return FieldProblem(
            field=place.child("kind"), given=shown(tag), expected=_one_of(tag, place.kinds)
        )
    field = place.child(last) if last else ".".join(place.path) or _BODY
    if kind == "extra_forbidden":
        expected = f"no such key here; {_one_of(last, place.keys)}"
    elif kind == "missing":
        given, expected = None, "a value: it is required"
    elif kind == "literal_error":
        choices = re.findall(r"'([^']*)'", detail["ctx"]["expected"])
        expected = _one_of(given, choices) if choices else detail["ctx"]["expected"]
    elif kind == "too_short":
        expected = f"a list of at least {detail['ctx']['min_length']}"
    elif kind == "tuple_type":
        expected = "a list"
    elif kind in _OBJECT_TYPES:
        expected = "a JSON object"
    else:
        expected = _plain(detail["msg"])
    return FieldProblem(field=field, given=shown(given), expected=expected)


def _plain(message: str) -> str:
    """Drop pydantic's opening words, which the document's own shape says already."""
    for opening in ("Input should be ", "Value error, "):
        message = message.removeprefix(opening)
    return message


def _one_of(given: object, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(str(given), known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"one of: {', '.join(known)}{hint}"


def _find(location: Sequence[int | str], *, keeps_last: bool) -> tuple[_Place, str]:
    """Follow a pydantic location through the spec's types.

    Pydantic puts labels of union members (``genetic``, ``list[float]``) between the keys; users never wrote those.

    Args:
        location: Keys, indices and labels, the first being where FastAPI found the value.
        keeps_last: The last item is a key although the models there have no such field.

    Returns:
        The place, and the last key below it where ``keeps_last`` asks for it, else "".
    """
    where, *items = location
    if where in _ELSEWHERE:
        return _Place((), ()), ".".join(str(item) for item in items)
    last = str(items.pop()) if keeps_last and items else ""
    path: list[str] = []
    current: Any = SearchSpec
    for item in items:
        current, is_written = _step(current, item)
        if is_written:
            path.append(str(item))
    models = tuple(member for member in _members(current) if _is_model(member))
    return _Place(tuple(path), models), last


def _step(current: Any, item: int | str) -> tuple[Any, bool]:
    """Go one item down; tells too whether users wrote that item."""
    members = _members(current)
    models = [member for member in members if _is_model(member)]
    if isinstance(item, int):
        elements = [get_args(member) for member in members if get_args(member)]
        return (elements[0][0] if elements else None), True
    for model in models:
        kind = model.model_fields.get("kind")
        if item == model.__name__ or (
            len(models) > 1 and kind is not None and item == kind.default
        ):
            return model, False
    for model in models:
        if item in model.model_fields:
            return model.model_fields[item].annotation, True
    for member in members:
        if get_origin(member) in (dict, Mapping):
            return get_args(member)[1], True
    return current, False


def _members(annotation: Any) -> list[Any]:
    """Unfold ``Annotated`` and unions."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _members(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return [inner for member in get_args(annotation) for inner in _members(member)]
    return [annotation]


def _is_model(member: Any) -> bool:
    return isinstance(member, type) and issubclass(member, BaseModel)
