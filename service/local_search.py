"""A search in this process, its ledger and results in a folder: what ``transfermask search`` does."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from models.inputs import InputFolder
from search.ledger import JsonLinesLedger
from service.composition import check_spec
from service.output_folder import LEDGER, open_output_folder, write_result
from service.pipeline import run_search
from service.progress_bar import ProgressBar
from service.result_table import render_result
from service.spec import SearchSpec


def run_in_folder(spec: SearchSpec, output: Path, inputs_dir: Path, console: Console) -> None:
    """Run a search, or go on with the one that the folder holds, and show its result.

    Raises:
        InvalidInputError: The spec, its data, or the folder do not allow it.
    """
    inputs = InputFolder(inputs_dir)
    check_spec(spec, inputs)
    with open_output_folder(output, spec.model_dump(mode="json")) as folder:
        with ProgressBar(console) as bar:
            found = run_search(
                spec,
                ledger=JsonLinesLedger(folder / LEDGER),
                folder=folder,
                inputs=inputs,
                listener=lambda progress: bar.show(progress.model_dump()),
            )
        result = found.model_dump(mode="json")
        files = {
            "Result": write_result(folder, result),
            "Report": folder / "report.html",
            "Weights": folder / "weights.safetensors",
        }
        console.print(render_result(result, files))
