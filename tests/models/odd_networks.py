"""Small networks for vectors ``(B, 6)`` that do what is allowed in a module and easily forgotten."""

from __future__ import annotations

from collections.abc import Callable
from types import MethodType

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, linear
from torch.nn.utils.parametrizations import weight_norm

N_CLASSES = 3


class TwoLayers(nn.Module):
    """What most of them are made of."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(6, 6)
        self.second = nn.Linear(6, N_CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.second(torch.tanh(self.first(x)))
        return logits


class InAList(TwoLayers):
    """Calls its layers by a list that no module knows of."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[Callable[[Tensor], Tensor]] = [self.first, torch.tanh, self.second]

    def forward(self, x: Tensor) -> Tensor:
        for step in self.steps:
            x = step(x)
        return x


class NormInAList(nn.Module):
    """Calls norms, one of them of a type of its own, by a list that no module knows of."""

    class ShiftedNorm(nn.BatchNorm1d):
        """Has arithmetic of its own."""

        def forward(self, input: Tensor) -> Tensor:
            return super().forward(input) + 1

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(6)
        self.first = nn.Linear(6, 6)
        self.shifted = self.ShiftedNorm(6)
        self.second = nn.Linear(6, N_CLASSES)
        self.steps: list[Callable[..., Tensor]] = [self.norm, self.first, torch.tanh, self.shifted]

    def forward(self, x: Tensor) -> Tensor:
        for step in self.steps:
            x = step(input=x)
        logits: Tensor = self.second(x)
        return logits


class ByType(TwoLayers):
    """Asks its layers what they are."""

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.children():
            x = layer(x)
            x = x.relu() if type(layer) is nn.Linear and isinstance(layer, nn.Linear) else x * 2
        return x


class ReadsParameters(TwoLayers):
    """Reads its parameters and layers' options and weights."""

    def forward(self, x: Tensor) -> Tensor:
        x = x.to(next(self.parameters()).dtype)
        penalty = sum(parameter.square().mean() for parameter in self.parameters())
        hidden = linear(x, self.first.weight * 2, self.first.bias) / self.first.out_features
        logits: Tensor = self.second(input=hidden) + penalty
        return logits


def _doubled(layer: nn.Linear, x: Tensor) -> Tensor:
    return 2 * nn.Linear.forward(layer, x)


class Patched(TwoLayers):
    """Has a layer whose ``forward`` was replaced."""

    def __init__(self) -> None:
        super().__init__()
        self.first.forward = MethodType(_doubled, self.first)  # type: ignore[method-assign]


class Hooked(TwoLayers):
    """Has hooks on a layer and on itself."""

    def __init__(self) -> None:
        super().__init__()
        self.first.register_forward_hook(lambda _, __, output: output * 2)
        self.second.register_forward_pre_hook(lambda _, inputs: (inputs[0] + 1,))
        self.register_forward_hook(lambda _, __, output: output * 3)


class Parametrized(TwoLayers):
    """Has a weight that is computed from others."""

    def __init__(self) -> None:
        super().__init__()
        weight_norm(self.first)


class PartlyTrained(TwoLayers):
    """Trains neither one layer nor half of another."""

    def __init__(self) -> None:
        super().__init__()
        self.first.requires_grad_(False)
        self.second.bias.requires_grad_(False)


class Subclassed(nn.Module):
    """Has layers of types that are not quite torch's."""

    class DoubledLinear(nn.Linear):
        """Has arithmetic of its own."""

        def forward(self, x: Tensor) -> Tensor:
            return 2 * super().forward(x)

    class PlainAttention(nn.MultiheadAttention):
        """Has none."""

    def __init__(self) -> None:
        super().__init__()
        self.first = self.DoubledLinear(6, 6)
        self.attention = self.PlainAttention(6, 2, dropout=0.3, batch_first=True)
        self.second = nn.Linear(6, N_CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x).unsqueeze(1).repeat(1, 3, 1)
        logits: Tensor = self.second(self.attention(x, x, x)[0].sum(1))
        return logits


class CalledTwice(nn.Module):
    """Uses one layer twice, another under two names, and a norm under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(6, 6)
        self.again = nn.ModuleList([self.first, nn.BatchNorm1d(6)])
        self.norm = self.again[1]
        self.head = nn.Linear(6, N_CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(torch.tanh(self.first(self.first(x))))
        for layer in self.again:
            x = layer(x)
        logits: Tensor = self.head(x)
        return logits


class OwnTensors(nn.Module):
    """Has parameters but no layers, some of them tied."""

    class Product(nn.Module):
        """A product with a parameter."""

        def __init__(self, weight: nn.Parameter) -> None:
            super().__init__()
            self.weight = weight

        def forward(self, x: Tensor) -> Tensor:
            return torch.tanh(x @ self.weight)

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(6))
        self.steps = nn.ParameterList([torch.zeros(6, 6), torch.zeros(6)])
        tied = nn.Parameter(torch.zeros(6, 6))
        self.one, self.two = self.Product(tied), self.Product(tied)
        self.out = nn.ParameterDict({"weight": torch.zeros(6, N_CLASSES)})

    def forward(self, x: Tensor) -> Tensor:
        x = x * self.scale @ self.steps[0] + self.steps[1]
        logits: Tensor = self.two(self.one(x)) @ self.out["weight"]
        return logits


class TiedLayers(nn.Module):
    """A decoder whose weight is the embedding's, which is also read directly."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(6, 4)
        self.norm = nn.LayerNorm(4)
        self.decoder = nn.Linear(4, 6)
        self.decoder.weight = self.embedding.weight
        self.head = nn.Linear(6, N_CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        tokens = (x * 100).long() % 6
        hidden = self.norm(self.embedding(tokens)) @ self.embedding.weight.mT
        logits: Tensor = self.head(
            self.decoder(self.embedding.weight[tokens]).sum(1) + hidden.sum(1)
        )
        return logits


class ChangesBuffers(TwoLayers):
    """Has buffers that it changes in place, replaces, or only reads."""

    count: Tensor
    average: Tensor
    fixed: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("count", torch.zeros((), dtype=torch.long))
        self.register_buffer("average", torch.zeros(6))
        self.register_buffer("fixed", torch.arange(6.0), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.first(x + self.fixed)
        if self.training:
            self.count += 1
            self.average = 0.9 * self.average + 0.1 * hidden.detach().mean(0)
        logits: Tensor = self.second(torch.tanh(hidden - self.average)) / (self.count + 1)
        return logits


class WithoutWeights(TwoLayers):
    """Has norms with nothing to stack, and one that population layers leave to ``vmap``."""

    def __init__(self) -> None:
        super().__init__()
        self.norms = nn.ModuleList(
            [
                nn.BatchNorm1d(6, affine=False, track_running_stats=False),
                nn.GroupNorm(2, 6, affine=False),
                nn.LayerNorm(6, elementwise_affine=False),
                nn.RMSNorm(6, elementwise_affine=False),
            ]
        )
        self.instance = nn.InstanceNorm1d(6)
        self.tracking = nn.InstanceNorm1d(6, affine=True, track_running_stats=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        for norm in self.norms:
            x = norm(x)
        sequences = x.unsqueeze(-1) * torch.arange(4).to(x)
        x = (self.instance(sequences) + self.tracking(sequences.square())).sum(-1)
        logits: Tensor = self.second(x)
        return logits


class Stochastic(TwoLayers):
    """Drops numbers and whole features."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Dropout1d(0.3)
        self.alpha = nn.AlphaDropout(0.3)

    def forward(self, x: Tensor) -> Tensor:
        x = dropout(self.first(x), 0.3, self.training)
        x = self.features(x.view(-1, 3, 2)).flatten(1)
        logits: Tensor = self.second(self.alpha(x))
        return logits


class Decoder(nn.Module):
    """PyTorch's own decoder over its own encoder, with masks, sequences first."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Linear(1, 4)
        encoder_layer = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.2)
        self.encoder = nn.TransformerEncoder(encoder_layer, 1, enable_nested_tensor=False)
        self.decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(4, 2, 8, dropout=0.2), 1)
        self.head = nn.Linear(4, N_CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        steps = self.embedding(x.unsqueeze(-1)).transpose(0, 1)
        mask = nn.Transformer.generate_square_subsequent_mask(6, dtype=x.dtype)
        padding = torch.zeros_like(x).index_fill(1, torch.tensor([5]), -4)
        encoded = self.encoder(steps, src_key_padding_mask=padding)
        decoded = self.decoder(steps * 2, encoded, tgt_mask=mask, tgt_is_causal=True)
        logits: Tensor = self.head(decoded.mean(0))
        return logits


ODD_NETWORKS: dict[str, type[nn.Module]] = {
    network.__name__: network
    for network in (
        TwoLayers,
        InAList,
        NormInAList,
        ByType,
        ReadsParameters,
        Patched,
        Hooked,
        Parametrized,
        PartlyTrained,
        Subclassed,
        CalledTwice,
        OwnTensors,
        TiedLayers,
        ChangesBuffers,
        WithoutWeights,
        Stochastic,
        Decoder,
    )
}
