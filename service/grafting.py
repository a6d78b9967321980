"""What ``transfermask apply`` does: grafted weights from a spec and a mask, without a search."""

from __future__ import annotations

from pathlib import Path

from models.checkpoints import save_state
from models.checkpoints.reloading import check_loads_back
from models.graft import graft
from models.surroundings import Surroundings
from search.errors import InvalidInputError
from search.evaluation import FINAL_REPLICATE
from search.genome import Genome
from service.composition import check_spec, read_task
from service.spec import SearchSpec


def write_grafted(
    spec: SearchSpec,
    mask: str,
    output: Path,
    surroundings: Surroundings,
    *,
    overwrite: bool = False,
) -> None:
    """Draw source and target as the search's final does at its first replicate, graft, write.

    For the mask that a search found these are the bytes of its ``grafted.safetensors``, on the same kind of machine.

    Args:
        spec: Of the search.
        mask: One character per gene; 1 keeps the target's weight, 0 transfers the source's.
        output: A safetensors file.
        surroundings: What the spec may reach outside of itself.
        overwrite: Replace an existing file.

    Raises:
        GenomeLengthError: The mask has another length than there are genes.
        InvalidInputError: The spec, its data or the mask is wrong, or the output exists.
    """
    if output.exists() and not overwrite:
        raise InvalidInputError("--output", output, "a file that does not exist, or --force")
    if not output.absolute().parent.is_dir():
        raise InvalidInputError("--output", output, "a file in a folder that exists")
    # Before minutes of training.
    genome = Genome.from_bitstring(mask, check_spec(spec, surroundings).n_genes)
    blueprint = read_task(spec, None, surroundings).blueprint
    source, target = blueprint.source.load(0), blueprint.target.load(FINAL_REPLICATE)
    save_state(output, graft(target, source, blueprint.genes, genome))
    check_loads_back(output, blueprint.family.build(blueprint.shape))
