"""Image networks of the library torchvision.  It comes with an extra; weights are the business of ``source``."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field
from torch import Tensor, nn

from models.data.image_shape import image_shape
from models.data.preprocessing import ImagePreprocessing, Preprocessing
from models.data.shapes import DataShape
from models.family import FAMILIES, ModelFamily
from models.image_libraries import check_options, image_library, refusals_told
from models.surroundings import Surroundings
from search.errors import InvalidInputError
from search.registry import PluginConfig

CHANNELS = 3
DECIDED = frozenset({"weights", "weights_backbone", "num_classes", "progress"})


class TorchvisionConfig(PluginConfig):
    """Options of an image network of the library torchvision."""

    kind: Literal["torchvision"] = "torchvision"
    name: str = Field(
        pattern=r"^\w+$", max_length=200, description="of the architecture, resnet18 say"
    )
    options: dict[str, Any] = Field(
        {}, description='more arguments of torchvision.models.get_model, {"image_size": 64} say'
    )


@FAMILIES.register(TorchvisionConfig)
class TorchvisionFamily(ModelFamily):
    """Builds image networks of the library torchvision."""

    def __init__(self, config: TorchvisionConfig, surroundings: Surroundings) -> None:  # noqa: ARG002
        """Import the library.

        Raises:
            InvalidInputError: It is not installed, or has no such architecture for classification.
        """
        self._config = config
        # Without a module's name the library lists its detectors and segmenters too.
        known = self._models.list_models(module=self._models)
        if config.name not in known:
            near = [name for name in known if name[:3] == config.name[:3]] or known
            raise InvalidInputError(
                "model.name",
                repr(config.name),
                f"an architecture of torchvision: {', '.join(near[:5])}, ...",
            )
        check_options(config.options, DECIDED)

    @property
    def _models(self) -> Any:
        """Looked up each time: a module cannot be sent to other processes, a family is."""
        return image_library("torchvision").models

    def build(self, shape: DataShape) -> nn.Module:
        """Build one network for coloured images."""
        channels, _, _ = image_shape(shape, 1)
        if channels != CHANNELS:
            raise InvalidInputError(
                "dataset", f"inputs of {channels} channels", f"images with {CHANNELS}"
            )
        with refusals_told("torchvision", self._config.name, "torchvision.models.get_model"):
            network: nn.Module = self._models.get_model(
                self._config.name,
                weights=None,
                num_classes=shape.n_classes,
                **self._config.options,
            )
        network.register_forward_hook(_main_logits)
        return network

    def preprocessing(self) -> Preprocessing:
        """Size and scale that the architecture's published weights were trained with."""
        published = self._models.get_model_weights(self._config.name)
        known = published.DEFAULT.transforms()
        edge = self._config.options.get("image_size", known.crop_size[0])
        return Preprocessing(
            image=ImagePreprocessing((edge, edge), tuple(known.mean), tuple(known.std))
        )


def _main_logits(module: nn.Module, args: tuple[Any, ...], output: Any) -> Tensor:  # noqa: ARG001
    """What a network says; some say more while they train, by auxiliary heads."""
    logits: Tensor = output if isinstance(output, Tensor) else output.logits
    return logits
