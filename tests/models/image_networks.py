"""Small networks for images ``(B, 3, 8, 8)`` whose layers meet in the ways that real ones do."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, interpolate, max_pool2d, relu

N_CLASSES = 3


class Chain(nn.Module):
    """One layer behind the other."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1),
            nn.BatchNorm2d(4),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
            nn.Conv2d(4, 6, 3),
            nn.PReLU(6),
            nn.Flatten(),
            nn.Linear(24, N_CLASSES),
        )

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.layers(x)
        return logits


class Residual(nn.Module):
    """A block beside a shortcut, and one whose shortcut has a layer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.inside = nn.Conv2d(4, 4, 3, padding=1, padding_mode="circular")
        self.wider = nn.Conv2d(4, 6, 3, stride=2, padding=1)
        self.shortcut = nn.Conv2d(4, 6, 1, stride=2)
        self.group_norm = nn.GroupNorm(2, 6)
        self.head = nn.Linear(6, N_CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = relu(self.norm(self.stem(x)), inplace=True)
        x = x + torch.tanh(self.inside(x))
        x = relu(self.group_norm(self.wider(x) + self.shortcut(x)))
        logits: Tensor = self.head(x.mean((2, 3)))
        return logits


class Concatenating(nn.Module):
    """Branches, and the image itself, side by side in the channels."""

    def __init__(self) -> None:
        super().__init__()
        self.narrow = nn.Conv2d(3, 4, 1)
        self.far = nn.Conv2d(3, 4, 3, padding=2, dilation=2)
        self.norm = nn.BatchNorm2d(11)
        self.mix = nn.Conv2d(11, 5, 1)
        self.head = nn.Linear(10, N_CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = relu(self.norm(torch.cat([self.narrow(x), x, self.far(x)], dim=1)))
        x = self.mix(x)
        x = torch.cat([adaptive_avg_pool2d(x, 1), max_pool2d(x, 8)], dim=1).flatten(1)
        logits: Tensor = self.head(x)
        return logits


class Shuffled(nn.Module):
    """Depthwise convolutions, channels that change places, and a gate."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, stride=2)
        self.depthwise = nn.Conv2d(6, 12, 3, padding=1, groups=6)
        self.pointwise = nn.Conv2d(12, 6, 1, groups=2)
        self.gate = nn.Linear(6, 6)
        self.norm = nn.InstanceNorm2d(6, affine=True)
        self.head = nn.Linear(6, N_CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = relu(self.depthwise(self.stem(x)))
        samples, channels, height, width = x.shape
        x = x.view(samples, 2, channels // 2, height, width).transpose(1, 2).contiguous()
        x = self.pointwise(x.view(samples, channels, height, width))
        gate = torch.sigmoid(self.gate(x.mean((2, 3))))
        x = self.norm(x * gate.unsqueeze(-1).unsqueeze(-1))
        logits: Tensor = self.head(x.amax((2, 3)))
        return logits


class UpAndDown(nn.Module):
    """Convolutions down and transposed ones up, with a connection across."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.bottom = nn.Conv2d(4, 4, 3, stride=2, padding="valid")
        self.up = nn.ConvTranspose2d(4, 4, 2, stride=2, groups=2)
        self.grown = nn.Conv2d(4, 4, 1)
        self.norm = nn.BatchNorm2d(8, affine=False)
        self.head = nn.Conv2d(8, N_CLASSES, 1)

    def forward(self, x: Tensor) -> Tensor:
        across = relu(self.down(x))
        low = self.up(self.bottom(across), output_size=[3, 3])
        high = interpolate(self.grown(low), size=(4, 4), mode="bilinear")
        x = self.norm(torch.cat([across, high], dim=1))
        logits: Tensor = self.head(x).mean((2, 3))
        return logits


class Patches(nn.Module):
    """An image as a sequence of patches behind a class token, through PyTorch's own encoder."""

    def __init__(self, *, norm_first: bool = False, dropout: float = 0.1) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.zeros(1, 1, 8))
        self.positions = nn.Parameter(torch.zeros(1, 5, 8))
        self.patches = nn.Conv2d(3, 8, 4, stride=4)
        layer = nn.TransformerEncoderLayer(
            8, 2, 12, dropout=dropout, batch_first=True, norm_first=norm_first
        )
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(8, N_CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        patches = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len(x), -1, -1), patches], dim=1) + self.positions
        logits: Tensor = self.head(self.encoder(x)[:, 0])
        return logits


class Viewed(nn.Module):
    """Flattens what a convolution gives by ``view``, which takes no other order in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.head = nn.Linear(144, N_CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.conv(x).view(x.size(0), -1))
        return logits


IMAGE_NETWORKS: dict[str, type[nn.Module]] = {
    network.__name__: network
    for network in (Chain, Residual, Concatenating, Shuffled, UpAndDown, Patches)
}
