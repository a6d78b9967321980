"""What ``transfermask search`` does: a search in this process, its progress and its result on the console."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from models.surroundings import Surroundings
from service.job_files import MODEL, REPORT, RESULT, WEIGHTS
from service.library import search_in_folder
from service.progress_bar import ProgressBar
from service.result_table import render_result
from service.spec import SearchSpec


def run_in_folder(
    spec: SearchSpec, output: Path, surroundings: Surroundings, console: Console
) -> None:
    """Run a search, or go on with the one that the folder holds, and show its result.

    Raises:
        InvalidInputError: The spec, its data, or the folder do not allow it.
    """
    with ProgressBar(console) as bar:
        result = search_in_folder(
            spec, output, surroundings, lambda progress: bar.show(progress.model_dump())
        )
    files = {"Result": RESULT, "Report": REPORT, "Weights": WEIGHTS}
    if (output / MODEL).is_dir():
        files["Model"] = MODEL
    places = {what: output / name for what, name in files.items()}
    console.print(render_result(result.model_dump(mode="json"), places))
