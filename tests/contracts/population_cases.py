"""What every registered population layer is tried with: options of the ordinary layer and shapes of inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear

from models.randomness import generator

VECTORS, SEQUENCES, IMAGES, VOLUMES = (5, 4), (5, 4, 7), (5, 4, 6, 7), (5, 4, 3, 4, 5)


def call_layer(layer: nn.Module, x: Tensor) -> Tensor:
    """Call an ordinary layer."""
    result: Tensor = layer(x)
    return result


@dataclass(frozen=True, slots=True)
class Case:
    """One way to build and call a layer.

    ``n_indices`` is above 0 where inputs are indices below it.
    """

    options: Mapping[str, Any]
    shape: tuple[int, ...]
    call: Callable[[nn.Module, Tensor], Tensor] = call_layer
    n_indices: int = 0

    def inputs(self, dtype: torch.dtype = torch.float64) -> Tensor:
        """Draw inputs."""
        stream = generator(0, "inputs")
        if self.n_indices:
            return torch.randint(self.n_indices // 2, self.shape, generator=stream)
        return torch.randn(self.shape, generator=stream, dtype=dtype)


def _attend(**options: Any) -> Callable[[nn.Module, Tensor], Tensor]:
    def call(layer: nn.Module, x: Tensor) -> Tensor:
        result: Tensor = layer(x, x, x, **options)[0]
        return result

    return call


def _attend_across(layer: nn.Module, x: Tensor) -> Tensor:
    result: Tensor = layer(x, x[:, :3] * 2, value=x[:, 1:4], need_weights=False)[0]
    return result


def _attend_with_masks(layer: nn.Module, x: Tensor) -> Tensor:
    of_samples = torch.randn(2 * len(x), 5, 5, generator=generator(0, "mask")).to(x.dtype)
    padding = torch.zeros(len(x), 5, dtype=x.dtype)
    padding[:, 4] = -9
    return _attend(need_weights=False, attn_mask=of_samples, key_padding_mask=padding)(layer, x)


def _attention_weights(layer: nn.Module, x: Tensor) -> Tensor:
    attended, weights = layer(x, x, x, average_attn_weights=False)
    result: Tensor = attended.sum() + weights
    return result


def _by_keyword(layer: nn.Module, x: Tensor) -> Tensor:
    result: Tensor = layer(input=x)
    return result


def _with_output_size(layer: nn.Module, x: Tensor) -> Tensor:
    result: Tensor = layer(x, output_size=[2 * size for size in x.shape[2:]])
    return result


def _convolutions(n_axes: int, shape: tuple[int, ...]) -> list[Case]:
    width: dict[str, Any] = {"in_channels": 4, "out_channels": 6, "kernel_size": 3}
    cases = [
        Case(width, shape),
        Case({**width, "bias": False, "padding": 1}, shape),
        Case({**width, "stride": 2, "padding": 1}, shape),
        Case({**width, "dilation": 2, "padding": 2}, shape),
        Case({**width, "groups": 2}, shape),
        Case({**width, "out_channels": 8, "groups": 4, "bias": False}, shape),
        Case({**width, "padding": "same"}, shape),
        Case({**width, "kernel_size": 2, "padding": "same", "dilation": 2}, shape),
        Case({**width, "padding": 1, "padding_mode": "circular"}, shape),
        Case({**width, "padding": 1, "padding_mode": "replicate", "groups": 2}, shape),
        Case(width, shape[1:]),
        Case({**width, "groups": 2}, shape[1:], _by_keyword),
    ]
    if n_axes < 3:
        cases += [
            Case({**width, "padding": 2, "padding_mode": "reflect"}, shape),
            Case({**width, "padding": "same", "padding_mode": "reflect", "groups": 2}, shape),
        ]
    return cases


def _transposed_convolutions(shape: tuple[int, ...]) -> list[Case]:
    width: dict[str, Any] = {"in_channels": 4, "out_channels": 6, "kernel_size": 3}
    return [
        Case(width, shape),
        Case({**width, "bias": False, "stride": 2, "output_padding": 1}, shape),
        Case({**width, "groups": 2, "padding": 1}, shape),
        Case({**width, "dilation": 2, "stride": 2}, shape),
        Case({**width, "stride": 2, "padding": 1}, shape, _with_output_size),
        Case({**width, "groups": 2}, shape[1:]),
    ]


def _batch_norms(*shapes: tuple[int, ...]) -> list[Case]:
    return [
        Case({"num_features": 4, **options}, shape)
        for shape in shapes
        for options in (
            {},
            {"affine": False, "momentum": 0.3},
            {"track_running_stats": False},
            {"eps": 0.1},
        )
    ]


def _instance_norms(shape: tuple[int, ...]) -> list[Case]:
    affine = {"num_features": 4, "affine": True}
    return [Case(affine, shape), Case({**affine, "eps": 0.1}, shape), Case(affine, shape[1:])]


LINEAR = [
    Case({"in_features": 4, "out_features": 3}, (5, 4)),
    Case({"in_features": 4, "out_features": 3, "bias": False}, (5, 4)),
    Case({"in_features": 4, "out_features": 3}, (4,), _by_keyword),
    Case({"in_features": 4, "out_features": 3}, (5, 2, 3, 4)),
]
ATTENTION: dict[str, Any] = {"embed_dim": 8, "num_heads": 2, "batch_first": True}
FEATURES = (3, 5, 8)
# By the type of the ordinary layer.
CASES: Mapping[type[nn.Module], list[Case]] = {
    nn.Linear: LINEAR,
    NonDynamicallyQuantizableLinear: LINEAR,
    nn.Conv1d: _convolutions(1, SEQUENCES),
    nn.Conv2d: [
        *_convolutions(2, IMAGES),
        Case({"in_channels": 4, "out_channels": 3, "kernel_size": 1}, IMAGES),
        Case(
            {"in_channels": 4, "out_channels": 2, "kernel_size": (3, 1), "stride": (1, 2)}, IMAGES
        ),
    ],
    nn.Conv3d: _convolutions(3, VOLUMES),
    nn.ConvTranspose1d: _transposed_convolutions(SEQUENCES),
    nn.ConvTranspose2d: _transposed_convolutions(IMAGES),
    nn.ConvTranspose3d: _transposed_convolutions(VOLUMES),
    nn.BatchNorm1d: _batch_norms(VECTORS, SEQUENCES),
    nn.BatchNorm2d: _batch_norms(IMAGES),
    nn.BatchNorm3d: _batch_norms(VOLUMES),
    nn.InstanceNorm1d: _instance_norms(SEQUENCES),
    nn.InstanceNorm2d: _instance_norms(IMAGES),
    nn.InstanceNorm3d: _instance_norms(VOLUMES),
    nn.GroupNorm: [
        Case({"num_groups": groups, "num_channels": 4, "eps": 0.01}, shape)
        for groups in (1, 2, 4)
        for shape in (VECTORS, SEQUENCES, IMAGES)
    ],
    nn.LayerNorm: [
        Case({"normalized_shape": 4}, VECTORS),
        Case({"normalized_shape": 4, "bias": False}, VECTORS),
        Case({"normalized_shape": (6, 7), "eps": 0.1}, IMAGES),
        Case({"normalized_shape": 7}, SEQUENCES),
        Case({"normalized_shape": 4}, (4,)),
    ],
    nn.RMSNorm: [
        Case({"normalized_shape": 4}, VECTORS),
        Case({"normalized_shape": (6, 7), "eps": 0.1}, IMAGES),
    ],
    nn.Embedding: [
        Case({"num_embeddings": 6, "embedding_dim": 4}, (5, 3), n_indices=6),
        Case({"num_embeddings": 6, "embedding_dim": 4, "padding_idx": 1}, (5, 3), n_indices=6),
        Case({"num_embeddings": 6, "embedding_dim": 4, "padding_idx": -5}, (5,), n_indices=6),
        Case({"num_embeddings": 6, "embedding_dim": 4}, (), _by_keyword, n_indices=6),
    ],
    nn.PReLU: [
        Case({}, VECTORS),
        Case({"num_parameters": 4}, IMAGES),
        Case({"num_parameters": 4}, SEQUENCES),
    ],
    nn.MultiheadAttention: [
        Case(ATTENTION, FEATURES, _attend(need_weights=False)),
        Case(ATTENTION, FEATURES, _attend()),
        Case(ATTENTION, FEATURES, _attention_weights),
        Case(ATTENTION, FEATURES, _attend_across),
        Case(ATTENTION, FEATURES[1:], _attend(need_weights=False)),
        Case({**ATTENTION, "batch_first": False, "bias": False}, FEATURES, _attend()),
        Case({**ATTENTION, "dropout": 0.5}, FEATURES, _attend()),
        Case({**ATTENTION, "dropout": 0.5}, FEATURES, _attend(need_weights=False)),
        Case({**ATTENTION, "add_bias_kv": True}, FEATURES, _attend(need_weights=False)),
        Case({**ATTENTION, "add_zero_attn": True}, FEATURES, _attend()),
        Case({**ATTENTION, "kdim": 8, "vdim": 8}, FEATURES, _attend_across),
        Case(
            ATTENTION,
            FEATURES,
            _attend(
                need_weights=False,
                attn_mask=torch.ones(5, 5, dtype=torch.bool).triu(1),
                is_causal=True,
            ),
        ),
        Case(ATTENTION, FEATURES, _attend_with_masks),
    ],
}
