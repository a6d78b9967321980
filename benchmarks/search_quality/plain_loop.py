"""The evaluation that a user would write today: copy the target, load the source's layers, train, score; one by one.

No code of the evaluator is used; data, source and target are those of the task, so that both sides score the same
thing.
"""

from __future__ import annotations

import copy
from pathlib import Path

import torch
from torch.nn.functional import cross_entropy
from torch.optim.lr_scheduler import OneCycleLR

from models.surroundings import Surroundings
from search.genome import Genome
from service.composition import draw_up, read_data
from service.spec import SearchSpec


class PlainLoop:
    """Fitness of masks, each trained for itself in torch's default settings."""

    def __init__(self, spec: SearchSpec, folder: Path, seed: int) -> None:
        """Read data and weights; ``folder`` has the trained source."""
        inputs = Surroundings.of(folder)
        data = read_data(spec, inputs)
        blueprint = draw_up(spec, inputs, held_out=data.held_out, cache=folder)
        self._source = blueprint.source.load(0)
        self._target = blueprint.family.build(blueprint.shape)
        self._target.load_state_dict(dict(blueprint.target.load(0)))
        self._genes = [gene.tensors for gene in blueprint.genes.genes]
        self._train, self._validation = data.train, data.validation
        self._steps = spec.finetune.steps
        self._rate = spec.finetune.learning_rates[0]
        self._batch_size = min(32, len(data.train))
        torch.manual_seed(seed)

    @property
    def n_genes(self) -> int:
        """Length of a mask."""
        return len(self._genes)

    def __call__(self, mask: Genome, replicate: int) -> float:  # noqa: ARG002 - every call draws anew
        """Train once and give the validation accuracy."""
        network = copy.deepcopy(self._target)
        state = network.state_dict()
        for tensors, keep in zip(self._genes, mask.keeps, strict=True):
            if not keep:
                state.update({name: self._source[name] for name in tensors})
        network.load_state_dict(state)
        network.train()
        optimizer = torch.optim.Adam(network.parameters(), lr=self._rate)
        # The spec's schedule, as torch has it.
        schedule = OneCycleLR(
            optimizer, max_lr=self._rate, total_steps=self._steps, cycle_momentum=False
        )
        x, labels = self._train.inputs["x"], self._train.labels
        order = torch.randperm(len(labels))
        for _ in range(self._steps):
            if len(order) < self._batch_size:
                order = torch.randperm(len(labels))
            chosen, order = order[: self._batch_size], order[self._batch_size :]
            optimizer.zero_grad()
            cross_entropy(network(x[chosen]), labels[chosen]).backward()
            optimizer.step()
            schedule.step()
        network.eval()
        with torch.no_grad():
            answers = network(self._validation.inputs["x"]).argmax(dim=1)
        return float((answers == self._validation.labels).double().mean())
