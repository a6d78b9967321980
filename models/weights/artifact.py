"""Weights that were uploaded: a file that is named by its content instead of its path."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from pydantic import Field

from models.inputs import InputFolder
from models.uploads import ArtifactId, resolve_upload
from models.weights.file import FileConfig, FileWeights, NamesConfig
from models.weights_source import WEIGHTS, WeightsContext


class ArtifactConfig(NamesConfig):
    """Options of weights that were uploaded."""

    kind: Literal["artifact"] = "artifact"
    id: ArtifactId = Field(description="of a safetensors upload, as POST /v1/artifacts answers it")


@WEIGHTS.register(ArtifactConfig)
class ArtifactWeights(FileWeights):
    """Reads an upload as a file is read; whatever options both have mean the same."""

    def __init__(self, config: ArtifactConfig, context: WeightsContext) -> None:
        """Bind the options; the upload is looked for but not read."""
        field, surroundings = f"{context.field}.id", context.surroundings
        path = resolve_upload(surroundings.uploads, config.id, "safetensors", field)
        # To the file's reader the upload is a file below a folder of its own.
        beside = replace(surroundings, inputs=InputFolder(path.parent))
        options = config.model_dump(exclude={"kind", "id"}) | {"path": path.name}
        super().__init__(FileConfig.model_validate(options), replace(context, surroundings=beside))
        # Errors are told of the field that users wrote.
        self._field = field
