"""What gradients say of every gene before anything is searched.

How much the training loss would change, to first order, if one gene of a pure mask were swapped; and how large a gene's
gradient is beside its weights.  References: Molchanov et al., "Importance Estimation for Neural Network Pruning", CVPR
2019 (first-order change of the loss); Lee et al., "Surgical Fine-Tuning Improves Adaptation to Distribution Shifts",
ICLR 2023 (ratio of gradient to weight).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from models.checkpoints import State
from models.data.dataset import Examples
from models.evaluator import Task
from models.genes import GeneMap
from models.graft import graft
from models.layout import Recipe
from models.placement import placed_network, placed_state
from models.plans.memory import is_out_of_memory
from models.plans.precision import arithmetic
from models.population.gated_norm import evaluate_where_frozen, running_statistics
from models.population.modes import training_mode
from models.population.scratch_buffers import ScratchBuffers
from models.randomness import seeded_torch
from models.recipe.fine_tuning import sampling_weights, stage_examples
from models.recipe.freezing import Freezing
from models.recipe.minibatches import draw_minibatches
from models.recipe.strategy import Objective
from search.evaluation import SEARCH_REPLICATE
from search.genome import Genome, keep_all, transfer_all
from search.optimizer import GenePriors

# Of a large training part, so many minibatches are seen.
MOST_MINIBATCHES = 16
# Digits that are kept: the last ones of float32 differ between processors.
SIGNIFICANT_DIGITS = 4


def measure_gene_priors(task: Task, device: torch.device) -> GenePriors | None:
    """Measure saliency and gradient ratio of every gene, by gradients of the training loss at both pure masks.

    With g the gradient at a pure mask, a gene's saliency is the mean over both masks of ``|g . (own - source)|``, in
    units of the loss; its gradient ratio is ``||g|| / ||w||`` in transfer-all, 0 where the gradient is.  The loss is
    that of the stage of the recipe that freezes least, on the training part without augmentation, or on
    ``MOST_MINIBATCHES`` minibatches of a large one; dropout and normalisation work as when the stage begins.

    Args:
        task: On the CPU; neither its states nor torch's global generators change.
        device: Where to compute, in float32.

    Returns:
        Values of ``SIGNIFICANT_DIGITS`` digits; None where a loss or a gradient is not finite, or memory ran out.
    """
    try:
        return _measured(task, device)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return None


def _measured(task: Task, device: torch.device) -> GenePriors | None:
    objective, genes = _objective(task), task.genes
    samples = stage_examples(objective, task.data.to(device, torch.float32), task.teachers)
    minibatches = _minibatches(objective, samples, task.seed)
    source = placed_state(task.source, device, torch.float32)
    target = placed_state(task.target(SEARCH_REPLICATE), device, torch.float32)
    network = placed_network(task.network, device, torch.float32)
    scratch = ScratchBuffers(network)
    changes, slope = [], dict[str, Tensor]()
    for genome in (keep_all(genes.n_genes), transfer_all(genes.n_genes)):
        scratch.restore()
        # A network may have more than its state.
        network.load_state_dict(graft(target, source, genes, genome), strict=False)
        frozen = _frozen(network, objective, genes, genome)
        with arithmetic("float32", device), seeded_torch(task.seed, "gene priors"):
            slope = _slope(network, objective, frozen, minibatches)
        changes.append([_change(slope, target, source, gene.tensors) for gene in genes.genes])
    saliencies = [sum(of_gene) / len(changes) for of_gene in zip(*changes, strict=True)]
    ratios = _gradient_ratios(slope, source, genes)
    if not all(map(math.isfinite, [*saliencies, *ratios])):
        return None
    return GenePriors(tuple(map(_rounded, saliencies)), tuple(map(_rounded, ratios)))


def _objective(task: Task) -> Objective:
    """That of the first stage among those that freeze least."""
    foreign = transfer_all(task.genes.n_genes)
    objectives = [stage.objective for stage in task.strategy.stages]
    return min(objectives, key=lambda objective: len(objective.frozen(task.genes, foreign)))


def _frozen(
    network: nn.Module, objective: Objective, genes: GeneMap, genome: Genome
) -> frozenset[str]:
    """Tensors that training leaves as they are in one mask; of them, statistics decide how layers normalise."""
    frozen = objective.frozen(genes, genome)
    if objective.config.batch_norm.frozen:
        frozen = frozen.union(*running_statistics(network).values())
    return frozen


def _minibatches(objective: Objective, samples: Examples, seed: int) -> list[Examples]:
    """Minibatches of the recipe's size that cover the training part, or ``MOST_MINIBATCHES`` of them."""
    config = objective.config
    needed = math.ceil(len(samples) / config.batch_size)
    drawn = draw_minibatches(
        len(samples),
        min(needed, MOST_MINIBATCHES),
        config.batch_size,
        seed,
        "gene priors",
        weights=sampling_weights(config, samples),
    )
    return [samples.take(indices) for indices in drawn.to(samples.labels.device)]


def _slope(
    network: nn.Module,
    objective: Objective,
    frozen: frozenset[str],
    minibatches: Sequence[Examples],
) -> State:
    """Gradient of the mean loss, by name of the parameter; parameters that the loss does not depend on have zeros."""
    # Those that the network itself does not train can be swapped all the same.
    parameters = {
        name: weight.requires_grad_()
        for name, weight in network.named_parameters()
        if weight.is_floating_point()
    }
    total = {name: torch.zeros_like(weight) for name, weight in parameters.items()}
    freezing = Freezing((frozen,), {})
    with training_mode(network, Recipe(objective, (0.0,), freezing)):
        evaluate_where_frozen(network, freezing)
        for minibatch in minibatches:
            loss = objective.loss(network(**minibatch.inputs), minibatch)
            gradients = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
            for name, gradient in zip(parameters, gradients, strict=True):
                if gradient is not None:
                    total[name] += gradient.to_dense() / len(minibatches)
    return total


def _change(slope: State, target: State, source: State, names: Sequence[str]) -> float:
    """First-order change of the loss if tensors are swapped; buffers have no gradient and do not count."""
    return abs(
        sum(
            float((slope[name].double() * (target[name] - source[name]).double()).sum())
            for name in names
            if name in slope
        )
    )


def _gradient_ratios(slope: State, source: State, genes: GeneMap) -> list[float]:
    """Norm of the gradient over norm of the weights, of each gene in transfer-all.

    A gene whose weights are all 0, as fresh biases are, has the largest of the other ratios, or 1.
    """
    ratios = []
    for gene in genes.genes:
        names = [name for name in gene.tensors if name in slope]
        gradient, weight = _norm(slope, names), _norm(source, names)
        ratios.append(0.0 if gradient == 0 else gradient / weight if weight > 0 else None)
    largest = max((ratio for ratio in ratios if ratio is not None), default=1.0)
    return [largest if ratio is None else ratio for ratio in ratios]


def _norm(state: Mapping[str, Tensor], names: Sequence[str]) -> float:
    return math.sqrt(sum(float(state[name].double().square().sum()) for name in names))


def _rounded(value: float) -> float:
    return float(f"{value:.{SIGNIFICANT_DIGITS}g}")
