"""Weights that were uploaded: a file that is named by its content instead of its path."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Literal

from pydantic import Field

from models.checkpoints import State
from models.inputs import InputFolder
from models.uploads import ArtifactId, resolve_upload
from models.weights.file import FileConfig, FileWeights
from models.weights_source import WEIGHTS, WeightsContext
from search.errors import InvalidInputError
from search.registry import PluginConfig


class ArtifactConfig(PluginConfig):
    """Options of weights that were uploaded."""

    kind: Literal["artifact"] = "artifact"
    id: ArtifactId = Field(description="of a safetensors upload, as POST /v1/artifacts answers it")


@WEIGHTS.register(ArtifactConfig)
class ArtifactWeights:
    """Reads an upload as ``file`` reads a file; whatever options both have mean the same."""

    def __init__(self, config: ArtifactConfig, context: WeightsContext) -> None:
        """Bind the options; the upload is looked for but not read."""
        self._field = context.field
        surroundings = context.surroundings
        path = resolve_upload(surroundings.uploads, config.id, "safetensors", f"{context.field}.id")
        # To the file's reader the upload is a file below a folder of its own.
        beside = replace(surroundings, inputs=InputFolder(path.parent))
        options = config.model_dump(exclude={"kind", "id"}) | {"path": path.name}
        with self._named_by_id():
            self._file = FileWeights(
                FileConfig.model_validate(options), replace(context, surroundings=beside)
            )

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Read the header.

        Raises:
            InvalidInputError: As of a file.
        """
        with self._named_by_id():
            return self._file.shapes()

    def load(self, replicate: int) -> State:
        """Read the tensors."""
        with self._named_by_id():
            return self._file.load(replicate)

    @contextmanager
    def _named_by_id(self) -> Iterator[None]:
        """Tell errors of the field that users wrote."""
        try:
            yield
        except InvalidInputError as error:
            if error.field != f"{self._field}.path":
                raise
            raise InvalidInputError(f"{self._field}.id", error.given, error.expected) from error
