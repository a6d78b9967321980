"""The demonstration: a real service, a real search over HTTP, and its result on disk.

``python -m service.demo --optimizer genetic`` or ``annealing``.
"""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from search.errors import TransferMaskError
from service.client import Client
from service.job_files import REPORT, RESULT, WEIGHTS
from service.progress_bar import ProgressBar
from service.result_table import render_result
from service.settings import Settings

EXAMPLE = Path("examples/digits.json")
START_SECONDS = 60.0
STOP_SECONDS = 15.0


def demonstrate(
    optimizer: Annotated[str, typer.Option(help="genetic or annealing")] = "genetic",
    example: Annotated[Path, typer.Option(help="the spec to run")] = EXAMPLE,
    output: Annotated[Path, typer.Option(help="folder for data and results")] = Path("demo-output"),
) -> None:
    """Start the service, run the example search through it, show and save what it found."""
    console = Console()
    folder = output / optimizer
    folder.mkdir(parents=True, exist_ok=True)
    spec = json.loads(example.read_text(encoding="utf-8"))
    if spec["optimizer"]["kind"] != optimizer:
        spec["optimizer"] = {"kind": optimizer}
    try:
        with running_service(folder) as client:
            console.print(f"Service at {client.base_url}/docs, its data in {folder}/")
            _search(client, spec, folder, console)
    except TransferMaskError as error:
        console.print(f"The demonstration failed: {error}", style="red")
        raise typer.Exit(1) from error


@contextmanager
def running_service(folder: Path) -> Iterator[Client]:
    """Run ``transfermask serve`` on a free port, its data and log in ``folder``, for as long as the context lasts.

    Raises:
        TransferMaskError: It did not become ready.
    """
    settings = Settings(data_dir=folder / "data", host="127.0.0.1", port=_free_port())
    log = folder / "service.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "service.cli", "serve"],
            stdout=file,
            stderr=subprocess.STDOUT,
            env=settings.child_environment(),
        )
    try:
        with Client(settings.url) as client:
            _wait_until_ready(client, process, log)
            yield client
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _search(client: Client, spec: dict[str, Any], folder: Path, console: Console) -> None:
    search_id = client.submit(spec)["id"]
    console.print(f"Search {search_id} with the {spec['optimizer']['kind']} optimizer")
    with ProgressBar(console) as bar:
        found = client.wait(search_id, bar.show_search)
    if found["status"] != "succeeded":
        raise TransferMaskError(f"{search_id} {found['status']}: {found['error']}")
    report, weights = folder / REPORT, folder / WEIGHTS
    client.save_report(search_id, report)
    client.save_weights(search_id, weights)
    result = client.result(search_id)
    path = folder / RESULT
    path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    console.print(render_result(result, {"Report": report, "Weights": weights, "Result": path}))


def _wait_until_ready(client: Client, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not client.is_ready():
        if process.poll() is not None or time.monotonic() > deadline:
            raise TransferMaskError(f"the service did not start; its log is {log}")
        time.sleep(0.1)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    typer.run(demonstrate)
