"""Weights from a safetensors file below the inputs folder."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from models.checkpoints import State, load_state, read_shapes
from models.weights_source import WEIGHTS, WeightsContext, state_shapes
from search.errors import InvalidInputError
from search.registry import PluginConfig


class FileConfig(PluginConfig):
    """Options of weights in a file."""

    kind: Literal["file"] = "file"
    path: str = Field(min_length=1, description="safetensors file below the inputs folder")


@WEIGHTS.register(FileConfig)
class FileWeights:
    """Reads a state dict; tensors are matched by name."""

    def __init__(self, config: FileConfig, context: WeightsContext) -> None:
        """Bind the options; the file is looked for but not read."""
        self._context, self._field = context, f"{context.field}.path"
        self._path = context.surroundings.inputs.resolve(config.path, self._field)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Read the file's header.

        Raises:
            InvalidInputError: The file holds other tensors than the architecture: for a source, none that fits; for
                a target, not all of them.
        """
        given, wanted = (
            read_shapes(self._path, self._field),
            state_shapes(self._context.meta_network()),
        )
        if self._context.field == "target":
            wrong = [name for name, shape in wanted.items() if given.get(name) != shape]
        else:
            fits = any(given.get(name) == shape for name, shape in wanted.items())
            wrong = [] if fits else list(wanted)
        if wrong:
            name = wrong[0]
            came = f"of shape {given[name]}" if name in given else "missing"
            raise InvalidInputError(
                self._field,
                f"{self._path.name} in which {len(wrong)} of {len(wanted)} tensors do not fit: {name} is {came}",
                f"weights of the same architecture as model: {name} of shape {wanted[name]}",
            )
        return given

    def load(self, replicate: int) -> State:  # noqa: ARG002 - a file is the same at every replicate
        """Read the tensors."""
        return load_state(self._path, self._field)
