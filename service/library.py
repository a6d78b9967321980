"""What library users call: a search in their own process, over a spec or over their own modules and arrays."""

from __future__ import annotations

import copy
import hashlib
import inspect
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import ArrayLike
from pydantic import BaseModel, ValidationError
from torch import Tensor, nn

from models.checkpoints import State
from models.data.dataset import Examples
from models.data.shapes import DataShape
from models.data.splits import TaskData
from models.devices import pick_device
from models.evaluator import Task
from models.fixed_target import FixedTarget
from models.genes import GeneMap, GenomeOptions, build_gene_map
from models.graft import graft
from models.inputs import InputFolder
from models.placement import without_weights
from models.recipe.checks import check_recipe
from models.recipe.strategy import build_strategy
from models.surroundings import Surroundings
from models.weights_source import state_shapes
from search.decisions import DecisionLog
from search.errors import InvalidInputError
from search.genome import Genome
from search.ledger import JsonLinesLedger
from search.optimizer import SearchProblem
from service.composition import Workbench, check_spec, set_up
from service.cost import check_device, memory_need
from service.output_folder import LEDGER, open_output_folder, write_result
from service.pipeline import run_phases, run_search
from service.result import Progress, SearchResult
from service.spec import SearchOptions, SearchSpec
from service.spec_problems import problem_of_spec

CACHE = "cache"
PARTS = ("train", "validation", "test")
ModelT = TypeVar("ModelT", bound=BaseModel)
Listener = Callable[[Progress], None]


def load_spec(spec: str | Path | Mapping[str, Any]) -> SearchSpec:
    """Read a search spec from a JSON file or a dictionary.

    Raises:
        InvalidInputError: The file is not JSON, or a field is wrong; the first wrong field is named.
        FileNotFoundError: There is no such file.
    """
    if isinstance(spec, Mapping):
        return _validated(SearchSpec, spec)
    try:
        document = json.loads(Path(spec).read_text(encoding="utf-8"))
    except ValueError as error:
        raise InvalidInputError("spec", spec, f"a JSON file ({error})") from error
    return _validated(SearchSpec, document)


def search(
    spec: SearchSpec | Mapping[str, Any] | str | Path,
    *,
    source: nn.Module | None = None,
    target: nn.Module | None = None,
    data: Mapping[str, ArrayLike | Tensor] | None = None,
    folder: str | Path = "search-output",
    inputs: str | Path = ".",
    listener: Listener = lambda _: None,
) -> SearchResult:
    """Search which layers to transfer; the same call goes on after an interruption.

    Args:
        spec: A whole spec; or, with ``source``, ``target`` and ``data``, a dictionary of the options beside ``model``,
            ``source``, ``target`` and ``dataset``, empty for the defaults.
        source: The pretrained network.
        target: A network of the same architecture; a call with a batch of samples gives logits ``(N, C)``.
        data: ``x_train`` ``(N, *shape)``, ``y_train`` ``(N,)`` with classes from 0, and ``x_validation``,
            ``y_validation``, ``x_test``, ``y_test`` likewise.
        folder: Keeps the ledger; gets ``result.json``, ``report.html``, ``weights.safetensors`` and
            ``grafted.safetensors``.
        inputs: Where files named in the spec lie.
        listener: Told about progress after every chunk.

    Raises:
        InvalidInputError: Something in the spec, the data or the folder is wrong; the field is named.
        TransferMaskError: The annealing optimizer was asked for outside the main thread.
    """
    if source is None or target is None or data is None:
        if not (source is None and target is None and data is None):
            raise InvalidInputError(
                "source, target, data", "only some of them", "all three or none"
            )
        whole = spec if isinstance(spec, SearchSpec) else load_spec(spec)
        surroundings = Surroundings(InputFolder(Path(inputs)), Path(folder) / CACHE)
        return search_in_folder(whole, Path(folder), surroundings, listener)
    if not isinstance(spec, Mapping):
        raise InvalidInputError(
            "spec", type(spec).__name__, "a dictionary of options beside own modules"
        )
    options = _validated(SearchOptions, spec)
    return _search_modules(
        options, source, target, _task_data(data, target), Path(folder), listener=listener
    )


def apply_mask(
    mask: str, *, source: nn.Module, target: nn.Module, genome: Mapping[str, Any] | None = None
) -> State:
    """Graft, without fine-tuning: a state dict that ``target.load_state_dict`` takes.

    Args:
        mask: One character per gene; 1 keeps the target's weight, 0 transfers the source's.
        source: The pretrained network.
        target: The network whose weights are kept where the mask says so; not changed.
        genome: Options of the genes, as in a spec.

    Raises:
        GenomeLengthError: The mask has another length than there are genes; both are named.
        InvalidInputError: The mask or an option is wrong.
    """
    genes = _genes(source, target, _validated(SearchOptions, {"genome": genome or {}}).genome)
    chosen = Genome.from_bitstring(mask, genes.n_genes)
    return graft(target.state_dict(), source.state_dict(), genes, chosen)


def search_in_folder(
    spec: SearchSpec, output: Path, surroundings: Surroundings, listener: Listener
) -> SearchResult:
    """Search over a whole spec; the same call goes on after an interruption.

    Args:
        spec: What to search.
        output: Keeps the ledger, gets the result's files.
        surroundings: What the spec may reach outside of itself.
        listener: Told about progress after every chunk.

    Raises:
        InvalidInputError: Something in the spec, the data or the folder is wrong; the field is named.
    """
    check_spec(spec, surroundings)
    with open_output_folder(output, spec.model_dump(mode="json")) as folder:
        ledger = JsonLinesLedger(folder / LEDGER)
        result = run_search(
            spec, ledger=ledger, folder=folder, surroundings=surroundings, listener=listener
        )
        write_result(folder, result.model_dump(mode="json"))
    return result


def _search_modules(
    options: SearchOptions,
    source: nn.Module,
    target: nn.Module,
    data: TaskData,
    output: Path,
    *,
    listener: Listener,
) -> SearchResult:
    genes = _genes(source, target, options.genome)
    options.optimizer.check(
        SearchProblem(genes.n_genes, options.finetune.steps, options.budget.evaluations)
    )
    check_recipe(
        options.finetune,
        genes=genes,
        network=target,
        shape=DataShape(
            {name: tuple(x.shape[1:]) for name, x in data.train.inputs.items()},
            len(data.class_names),
        ),
        source=state_shapes(source),
    )
    options.fitness.check(len(data.class_names))
    if options.fitness.retention is not None:
        raise InvalidInputError(
            "fitness.source_retention",
            "an object",
            "null beside own modules, whose source task is not known; a whole spec can name it",
        )
    own = copy.deepcopy(target).cpu()
    kept = {name: tensor.clone() for name, tensor in own.state_dict().items()}
    task = Task(
        network=without_weights(own, genes.tensors),
        genes=genes,
        source={name: tensor.detach().cpu() for name, tensor in source.state_dict().items()},
        target=FixedTarget(kept),
        data=data,
        strategy=build_strategy(options.finetune),
        metric=options.fitness.metric,
        seed=options.seed,
        redraws_target=False,
    )

    need = memory_need(own, genes, options)
    # The source is there already.
    check_device(need, pick_device(), loaded_bytes=need.state_bytes)

    def prepare(decisions: DecisionLog) -> Workbench:
        return set_up(task, options, decisions=decisions, folder=output)

    identity = options.model_dump(mode="json") | {"networks_and_data": _fingerprint(task)}
    with open_output_folder(output, identity) as folder:
        ledger = JsonLinesLedger(folder / LEDGER)
        result = run_phases(options, prepare, ledger=ledger, folder=folder, listener=listener)
        write_result(folder, result.model_dump(mode="json"))
    return result


def _fingerprint(task: Task) -> str:
    """Digest of layers, weights and data: with others, the ledger in the folder would answer wrongly.

    What a module's ``forward`` does beyond its layers is not seen.
    """
    digest = hashlib.sha256(f"{type(task.network)} {task.network!r}".encode())
    parts = (task.data.train, task.data.validation, task.data.test)
    tensors = [*task.source.items(), *task.target(0).items()]
    tensors += [item for part in parts for item in (*part.inputs.items(), ("y", part.labels))]
    for name, tensor in tensors:
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _genes(source: nn.Module, target: nn.Module, options: GenomeOptions) -> GeneMap:
    return build_gene_map(target, state_shapes(source), options)


def _task_data(arrays: Mapping[str, ArrayLike | Tensor], network: nn.Module) -> TaskData:
    wanted = [f"{axis}_{part}" for part in PARTS for axis in ("x", "y")]
    if set(arrays) != set(wanted):
        raise InvalidInputError("data", sorted(arrays), f"exactly {', '.join(wanted)}")
    # Networks are called with named inputs; this one's own name for its first.
    name = next(iter(inspect.signature(network.forward).parameters))
    parts = [_part(arrays[f"x_{part}"], arrays[f"y_{part}"], part, name) for part in PARTS]
    n_classes = int(max(part.labels.max() for part in parts)) + 1
    return TaskData(parts[0], parts[1], parts[2], tuple(str(number) for number in range(n_classes)))


def _part(x: ArrayLike | Tensor, y: ArrayLike | Tensor, name: str, input_name: str) -> Examples:
    inputs, labels = (
        a if isinstance(a, Tensor) else torch.from_numpy(np.asarray(a)) for a in (x, y)
    )
    if labels.ndim != 1 or len(labels) != len(inputs) or len(labels) == 0:
        raise InvalidInputError(
            f"data.y_{name}",
            f"shape {tuple(labels.shape)}",
            f"({len(inputs)},), one label per sample",
        )
    if labels.is_floating_point() or int(labels.min()) < 0:
        raise InvalidInputError(f"data.y_{name}", labels.dtype, "integer classes from 0 upwards")
    if not torch.isfinite(inputs).all():
        raise InvalidInputError(f"data.x_{name}", "NaN or infinite values", "finite numbers")
    if inputs.dtype == torch.float64:
        inputs = inputs.float()
    return Examples({input_name: inputs.cpu()}, labels.long().cpu())


def _validated(model: type[ModelT], document: Any) -> ModelT:
    try:
        return model.model_validate(document)
    except ValidationError as error:
        first = problem_of_spec(error).errors[0]
        raise InvalidInputError(first.field, first.given, first.expected) from error
