"""Image networks of the library timm.  The library comes with an extra; weights are the business of ``source``."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field
from torch import nn

from models.data.image_shape import image_shape
from models.data.preprocessing import ImagePreprocessing, Preprocessing
from models.data.shapes import DataShape
from models.family import FAMILIES, ModelFamily
from models.image_libraries import check_options, image_library, refusals_told
from models.surroundings import Surroundings
from search.errors import InvalidInputError
from search.registry import PluginConfig

# Arguments that are decided by the data or would fetch something.
DECIDED = frozenset(
    {"pretrained", "num_classes", "in_chans", "checkpoint_path", "pretrained_cfg", "cache_dir"}
)


class TimmConfig(PluginConfig):
    """Options of an image network of the library timm."""

    kind: Literal["timm"] = "timm"
    name: str = Field(
        pattern=r"^[\w.]+$", max_length=200, description="of the architecture, resnet18 say"
    )
    options: dict[str, Any] = Field(
        {}, description='more arguments of timm.create_model, {"img_size": 64} say'
    )


@FAMILIES.register(TimmConfig)
class TimmFamily(ModelFamily):
    """Builds image networks of the library timm."""

    def __init__(self, config: TimmConfig, surroundings: Surroundings) -> None:  # noqa: ARG002
        """Import the library.

        Raises:
            InvalidInputError: It is not installed, or has no such architecture.
        """
        self._config = config
        if not self._library.is_model(config.name):
            near = list(self._library.list_models(f"*{config.name[:4]}*"))[:5]
            raise InvalidInputError(
                "model.name", repr(config.name), f"an architecture of timm: {', '.join(near)}, ..."
            )
        check_options(config.options, DECIDED)

    @property
    def _library(self) -> Any:
        """Looked up each time: a module cannot be sent to other processes, a family is."""
        return image_library("timm")

    def build(self, shape: DataShape) -> nn.Module:
        """Build one network for images of any number of channels."""
        channels, _, _ = image_shape(shape, 1)
        with refusals_told("timm", self._config.name, "timm.create_model"):
            network: nn.Module = self._library.create_model(
                self._config.name,
                pretrained=False,
                num_classes=shape.n_classes,
                in_chans=channels,
                **self._config.options,
            )
        return network

    def preprocessing(self) -> Preprocessing:
        """Size and scale that the architecture's published weights were trained with."""
        known = self._library.get_pretrained_cfg(self._config.name)
        if known is None:
            return Preprocessing()
        _, height, width = known.input_size
        size = self._config.options.get("img_size", (height, width))
        height, width = (size, size) if isinstance(size, int) else size
        return Preprocessing(
            image=ImagePreprocessing((height, width), tuple(known.mean), tuple(known.std))
        )
