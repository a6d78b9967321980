"""Search over your own torch modules and arrays: wine cultivars, from a network that learnt two other chemical tasks.

    python examples/own_modules.py

The source is trained here on a made-up task over the same 13 measurements; the target is a fresh network.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_wine
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from torch import nn

import transfermask


def build_network() -> nn.Module:
    """Three hidden layers over 13 measurements, three classes."""
    layers = [nn.Linear(13, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 3)]
    return nn.Sequential(*layers)


def pretrain(x: torch.Tensor) -> nn.Module:
    """Train a source to tell thirds of the first principal direction apart: labels without labels."""
    direction = torch.linalg.svd(x, full_matrices=False).Vh[0]
    projected = x @ direction
    thirds = torch.quantile(projected, torch.tensor([1 / 3, 2 / 3]))
    y = torch.bucketize(projected, thirds)
    network = build_network()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.003)
    for _ in range(300):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(x), y).backward()
        optimizer.step()
    return network


def main(folder: str = "search-output/own-modules", evaluations: int = 30) -> None:
    """Search and print what was found."""
    torch.manual_seed(0)
    raw, y = load_wine(return_X_y=True)
    x = StandardScaler().fit_transform(raw).astype(np.float32)
    x_rest, x_test, y_rest, y_test = train_test_split(
        x, y, test_size=80, stratify=y, random_state=0
    )
    x_train, x_validation, y_train, y_validation = train_test_split(
        x_rest, y_rest, train_size=30, stratify=y_rest, random_state=0
    )
    source, target = pretrain(torch.from_numpy(x_rest)), build_network()
    result = transfermask.search(
        {
            "budget": {"evaluations": evaluations},
            "finetune": {"kind": "full", "steps": 20},
            "final": {"steps": 100, "replicates": 3},
        },
        source=source,
        target=target,
        data={
            "x_train": x_train,
            "y_train": y_train,
            "x_validation": x_validation,
            "y_validation": y_validation,
            "x_test": x_test,
            "y_test": y_test,
        },
        folder=folder,
    )
    for gene in result.genes:
        print(f"{'keep' if gene.keep else 'transfer':9}{gene.name}")
    print(f"test accuracy {result.test.mean:.3f}; {result.verdict.text}")
    target.load_state_dict(transfermask.apply_mask(result.mask, source=source, target=target))
    print("report:", Path(folder) / "report.html")


if __name__ == "__main__":
    main(*sys.argv[1:])
