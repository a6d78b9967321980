"""Files that users uploaded: named by their content, found by that name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from models.formats.content import FileKind
from search.errors import InvalidInputError

ID_PREFIX = "art_"
_PATTERN = re.compile(rf"{ID_PREFIX}[0-9a-f]{{64}}")
_WAY_OUT = (
    "the id of an upload; POST /v1/artifacts answers it, GET /v1/artifacts lists those there are"
)


class ArtifactId(str):
    """``art_`` and the SHA-256 of the content.  A type of its own, so that what a spec refers to can be found in it."""

    __slots__ = ()

    @classmethod
    def of_digest(cls, digest: str) -> Self:
        """The id of content by its SHA-256 in hexadecimal digits."""
        return cls(f"{ID_PREFIX}{digest}")

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Take a string of that form."""
        return core_schema.no_info_after_validator_function(
            cls._validated, core_schema.str_schema()
        )

    @classmethod
    def _validated(cls, text: str) -> Self:
        if not _PATTERN.fullmatch(text):
            raise ValueError(f"{ID_PREFIX} and 64 hexadecimal digits: {_WAY_OUT}")
        return cls(text)


class UploadFolder:
    """Where uploads lie.  Knows nothing about who may delete them."""

    def __init__(self, root: Path) -> None:
        """Bind the folder; it need not exist yet."""
        self.root = root

    def path(self, artifact_id: str, kind: FileKind) -> Path:
        """Where an upload of one kind lies, if there is one."""
        return self.root / f"{artifact_id}.{kind}"

    def resolve(self, artifact_id: ArtifactId, kind: FileKind, field: str) -> Path:
        """Find an upload.

        Args:
            artifact_id: Its id.
            kind: What it must be.
            field: Where the id stood in the spec, for the error.

        Raises:
            InvalidInputError: There is none, or it is of the other kind.
        """
        path = self.path(artifact_id, kind)
        if path.is_file():
            return path
        other: FileKind = "npz" if kind == "safetensors" else "safetensors"
        if self.path(artifact_id, other).is_file():
            raise InvalidInputError(field, f"{artifact_id}, which is {other}", f"a {kind} upload")
        raise InvalidInputError(field, artifact_id, _WAY_OUT)


def resolve_upload(
    uploads: UploadFolder | None, artifact_id: ArtifactId, kind: FileKind, field: str
) -> Path:
    """Find an upload, where there may be none at all: beside a search of the library, say.

    Raises:
        InvalidInputError: There is none.
    """
    if uploads is None:
        raise InvalidInputError(
            field, artifact_id, "a file by its path: there are no uploads without a data directory"
        )
    return uploads.resolve(artifact_id, kind, field)


def unknown_upload(field: str, artifact_id: str) -> InvalidInputError:
    """The error of a spec that refers to an upload that is not there."""
    return InvalidInputError(field, artifact_id, _WAY_OUT)


def referred_uploads(spec: BaseModel) -> dict[str, ArtifactId]:
    """The uploads that a spec, or any part of one, refers to, by the field that does."""
    return dict(_referred(spec, ()))


def _referred(value: object, place: tuple[str, ...]) -> Iterator[tuple[str, ArtifactId]]:
    if isinstance(value, ArtifactId):
        yield ".".join(place), value
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _referred(getattr(value, name), (*place, name))
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _referred(inner, (*place, str(key)))
    elif isinstance(value, tuple | list):
        for index, inner in enumerate(value):
            yield from _referred(inner, (*place, str(index)))
