"""Weights from safetensors files below the inputs folder."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from models.checkpoints import State
from models.checkpoints.fitting import FittedCheckpoint, fit_checkpoint
from models.checkpoints.naming import NamingOptions
from models.checkpoints.renaming import check_rename
from models.checkpoints.report import CheckpointReport
from models.checkpoints.shards import open_checkpoint
from models.weights_source import WEIGHTS, WeightsContext
from search.errors import InvalidInputError
from search.registry import PluginConfig


class NamesConfig(PluginConfig):
    """Options of weights whose names may be others than the network's."""

    strip_prefixes: tuple[str, ...] = Field(
        ("module.", "model.", "backbone."),
        max_length=8,
        description="prefixes taken away from the names in the file, repeatedly, if more tensors match without them",
    )
    rename: dict[str, str] = Field(
        {},
        max_length=1000,
        description='names in the file -> names in the network; * is any text and put back in order: {"encoder.*": '
        '"bert.encoder.*"}',
    )

    @field_validator("strip_prefixes")
    @classmethod
    def _prefixes_end_with_a_dot(cls, prefixes: tuple[str, ...]) -> tuple[str, ...]:
        for prefix in prefixes:
            if len(prefix) < 2 or not prefix.endswith("."):
                raise ValueError(
                    f"{prefix!r} is no prefix of names; one ends with a dot: 'module.'"
                )
        return prefixes

    @field_validator("rename")
    @classmethod
    def _stars_are_put_back(cls, rename: dict[str, str]) -> dict[str, str]:
        check_rename(rename)
        return rename


class FileConfig(NamesConfig):
    """Options of weights in a file, or in several."""

    kind: Literal["file"] = "file"
    path: str = Field(
        min_length=1,
        description="below the inputs folder: a safetensors file, an index of shards (.index.json), or a folder with "
        "model.safetensors or model.safetensors.index.json",
    )


@WEIGHTS.register(FileConfig)
class FileWeights:
    """Reads the tensors that the network knows; names are matched by a rule that the report tells."""

    def __init__(self, config: FileConfig, context: WeightsContext) -> None:
        """Bind the options; headers are read when they are first asked for."""
        self._config, self._context = config, context
        self._field = f"{context.field}.path"
        self._fitted: FittedCheckpoint | None = None
        context.surroundings.inputs.resolve_any(config.path, self._field)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes in the file of what the network knows; another shape there is no error, in a source.

        Raises:
            InvalidInputError: The file holds other tensors than the architecture: for a source, none that fits; for
                a target, not all of them.
        """
        return self._fit().shapes()

    def load(self, replicate: int) -> State:  # noqa: ARG002 - a file is the same at every replicate
        """Read the tensors, in the network's own types."""
        return self._fit().load()

    def report(self) -> CheckpointReport:
        """What became of the file's tensors."""
        return self._fit().report

    def _fit(self) -> FittedCheckpoint:
        if self._fitted is None:
            config, context = self._config, self._context
            checkpoint = open_checkpoint(config.path, context.surroundings.inputs, self._field)
            options = NamingOptions(
                config.strip_prefixes,
                config.rename,
                context.field,
                lambda names: context.family.network_names(names, context.shape),
            )
            fitted = fit_checkpoint(checkpoint, context.meta_network(), options)
            self._check_enough(fitted.report)
            self._fitted = fitted
        return self._fitted

    def _check_enough(self, report: CheckpointReport) -> None:
        """A target keeps whatever the mask keeps, so it needs all tensors; a source transfers what fits."""
        is_target = self._context.field == "target"
        if report.n_matched == report.n_tensors or (report.n_matched and not is_target):
            return
        wrong = [*report.mismatched, *(f"{name} is missing" for name in report.missing)][0]
        extent = "all tensors of the model" if is_target else "weights of the model's architecture"
        raise InvalidInputError(
            self._field,
            f"{report.path} in which {report.n_tensors - report.n_matched} of {report.n_tensors} tensors do not fit: "
            f"{wrong}",
            f"{extent}, by its names ({self._context.field}.rename can change names). "
            + ". ".join([report.summary, *report.details]),
        )
