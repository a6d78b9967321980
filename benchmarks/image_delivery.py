"""Whether what a search delivers is what its library loads, and whether all plans compute the same network."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from benchmarks.delivery import SAME, Delivery, own_network
from models.data.images.tree import TRAIN, ImageFile, read_tree
from models.data.splits import part_sizes, split
from models.evaluator import GraftEvaluator
from models.family import build_family, open_data
from models.plans.plan import Plan
from models.plans.precision import DTypeName
from models.population import LayoutName
from models.population.stacked_network import StackedNetwork
from models.randomness import derive_seed, generator
from models.surroundings import Surroundings
from search.evaluation import Candidate
from search.genome import Genome
from search.ledger import DecisionRow
from service.composition import build_task, read_data, read_task
from service.database import open_database
from service.settings import Settings
from service.spec import SearchSpec
from service.sql_ledger import SqlLedger

COMPARED_MASKS, COMPARED_STEPS = 8, 3


def compare_with_library(delivery: Delivery, delivered_score: float) -> dict[str, Any]:
    """Predict the test part with the product's network and with what ``from_pretrained`` gives.

    Args:
        delivery: What was delivered.
        delivered_score: Test accuracy that the result gives for the delivered weights.

    Returns:
        Figures, and ``problems``: what differs though it must not.
    """
    from transformers import AutoModelForImageClassification

    data = read_data(delivery.spec, delivery.surroundings)
    inputs, labels = data.test.inputs["x"], data.test.labels
    ours = own_network(delivery)
    theirs = AutoModelForImageClassification.from_pretrained(delivery.model).eval()
    files = test_files(delivery)
    pixels = processed(delivery.model, files)
    with torch.no_grad():
        expected = ours(x=inputs)
        same_pixels = theirs(pixel_values=inputs).logits
        from_files = theirs(pixel_values=pixels).logits
    names = [theirs.config.id2label[row] for row in from_files.argmax(dim=1).tolist()]
    hits = sum(name == file.path.parent.name for name, file in zip(names, files, strict=True))
    figures: dict[str, Any] = {
        "images": len(files),
        "logits_difference": _largest(same_pixels, expected),
        "pixels_difference": _largest(pixels, inputs),
        "logits_difference_from_files": _largest(from_files, expected),
        "largest_logit": float(expected.abs().max()),
        "same_predictions": int((from_files.argmax(1) == expected.argmax(1)).sum()),
        "accuracy_of_weights": float((expected.argmax(1) == labels).double().mean()),
        "accuracy_from_files": hits / len(files),
        "test_delivered": delivered_score,
    }
    return figures | {"problems": _problems(figures)}


def test_files(delivery: Delivery) -> list[ImageFile]:
    """The files of the test part, in its order."""
    spec, surroundings = delivery.spec, delivery.surroundings
    dataset = open_data(build_family(spec.model, surroundings), spec.dataset, surroundings)
    folder = surroundings.inputs.resolve_folder(spec.dataset.path, "dataset.path")  # type: ignore[attr-defined]
    files = read_tree(folder, surroundings.inputs, "dataset.path").parts[TRAIN]
    labels = torch.tensor([file.label for file in files]).numpy()
    sizes = part_sizes(dataset, spec.dataset)
    _, _, rows = split(labels, sizes, derive_seed(spec.seed, "data"))
    return [files[row] for row in rows]


def processed(model: Path, files: list[ImageFile]) -> Tensor:
    """Files as the delivered image processor prepares them, ``(N, channels, height, width)``."""
    from transformers import AutoImageProcessor

    processor = AutoImageProcessor.from_pretrained(model)
    prepared = []
    for file in files:
        with Image.open(file.path) as image:
            prepared.append(processor(image, return_tensors="pt")["pixel_values"][0])
    return torch.stack(prepared)


def compare_plans(spec: SearchSpec, surroundings: Surroundings, job: Path) -> dict[str, Any]:
    """Largest relative difference of validation loss between fused plans and the loop, over drawn masks.

    Args:
        spec: What was searched.
        surroundings: What the spec may reach.
        job: Folder of the search, where its source is kept.

    Returns:
        By data type, by layout; a text instead of a number where a layout is refused.  ``left_to_vmap``: the layers
        for which a stacked plan has no form of its own, with the reason.
    """
    prepared = read_task(spec, job, surroundings)
    source, target = prepared.blueprint.source.load(0), prepared.blueprint.target.load
    task = build_task(spec, prepared.blueprint, prepared.data, source, target)
    stream = generator(spec.seed, "compared masks")
    bits = (torch.rand(COMPARED_MASKS, task.genes.n_genes, generator=stream) < 0.5).tolist()
    candidates = [Candidate(Genome(tuple(row)), COMPARED_STEPS) for row in bits]

    def losses(layout: LayoutName, dtype: DTypeName) -> Tensor:
        chunks = (1,) if layout == "loop" else (1, COMPARED_MASKS)
        plan = Plan(layout=layout, chunks=chunks, dtype=dtype, threads=1)
        evaluator = GraftEvaluator(task, plan, torch.device("cpu"))
        size = plan.chunk_size
        evaluations = [
            evaluation
            for start in range(0, COMPARED_MASKS, size)
            for evaluation in evaluator.evaluate(candidates[start : start + size])
        ]
        return torch.tensor([evaluation.loss for evaluation in evaluations], dtype=torch.float64)

    found: dict[str, dict[str, float | str]] = {}
    dtypes: tuple[DTypeName, ...] = ("float64", "float32")
    layouts: tuple[LayoutName, ...] = ("vmap", "stacked")
    for dtype in dtypes:
        exact = losses("loop", dtype)
        found[dtype] = {}
        for layout in layouts:
            try:
                other = losses(layout, dtype)
            except (RuntimeError, NotImplementedError) as error:
                found[dtype][layout] = str(error)
                continue
            found[dtype][layout] = float(((other - exact) / exact).abs().max())
    stacked = StackedNetwork(copy.deepcopy(task.network).to("meta"), channels_last=False)
    return {**found, "left_to_vmap": dict(stacked.reasons)}


def measured_plans(settings: Settings, search_id: str) -> dict[str, float]:
    """Milliseconds per step of one candidate by every plan that the search timed before it took one."""
    engine = open_database(settings.sqlalchemy_url)
    try:
        rows = SqlLedger(engine, search_id, fencing_token=0).rows()
        (decision,) = (r for r in rows if isinstance(r, DecisionRow) and r.name == "plan")
    finally:
        engine.dispose()
    return {label: float(str(taken)) for label, taken in decision.timings.items()}


def _largest(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).abs().max())


def _problems(figures: Mapping[str, Any]) -> list[str]:
    """What must agree and does not."""
    problems = [
        f"{name} {figures[name]:.3g} is above {SAME:g}"
        for name in ("logits_difference", "pixels_difference", "logits_difference_from_files")
        if not figures[name] <= SAME
    ]
    n_images = figures["images"]
    if figures["same_predictions"] != n_images:
        problems.append(f"{figures['same_predictions']} of {n_images} predictions agree")
    for name in ("accuracy_of_weights", "accuracy_from_files"):
        # The search may have computed in another order: one image that stands on the edge may fall to the other side.
        if abs(figures[name] - figures["test_delivered"]) * n_images > 1.5:
            problems.append(f"{name} {figures[name]} is not {figures['test_delivered']}")
    return problems
