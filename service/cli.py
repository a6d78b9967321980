"""The command line.  Heavy imports stay inside the commands, so that ``--help`` is quick."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table
from rich.text import Text

from search.errors import InvalidInputError, TransferMaskError

if TYPE_CHECKING:
    from service.client import Client
    from service.composition import GeneTable
    from service.settings import Settings
    from service.spec import SearchSpec

# Of one gene in the gene table; an encoder layer has 16.
TENSORS_SHOWN = 4

app = typer.Typer(
    help="Searches which layers of a pretrained network to transfer and which to keep.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

SpecPath = Annotated[
    str, typer.Argument(metavar="SPEC", help="a JSON file, or - for standard input")
]
Server = Annotated[
    str | None, typer.Option(help="URL of the service; by default the one the settings describe")
]

FAILED, WRONG_INPUT, INTERRUPTED = 1, 2, 130


def main() -> None:
    """Run the command line; errors end as text on standard error, never as a traceback."""
    try:
        app()
    except InvalidInputError as error:
        _fail(str(error), WRONG_INPUT)
    except ValidationError as error:
        _fail(_settings_text(error), WRONG_INPUT)
    except TransferMaskError as error:
        _fail(str(error), FAILED)


@app.command()
def serve() -> None:
    """Run the service: HTTP interface, queue and searches.  Settings come from TRANSFERMASK_* variables."""
    settings = _settings()
    import uvicorn  # noqa: PLC0415

    from service.app import create_app  # noqa: PLC0415

    uvicorn.run(
        create_app(settings),
        host=settings.host,
        port=settings.port,
        timeout_graceful_shutdown=5,
    )


@app.command()
def search(
    spec: SpecPath,
    output: Annotated[Path, typer.Option(help="folder for ledger and results")] = Path(
        "search-output"
    ),
) -> None:
    """Run a search here, without a service; the same command goes on after an interruption."""
    _restart_to_compute()
    document, settings = _read(spec), _settings()
    from service.local_search import run_in_folder  # noqa: PLC0415

    try:
        run_in_folder(_parse(document), output, settings.surroundings, Console())
    except KeyboardInterrupt:
        _fail("interrupted; the same command goes on from here", INTERRUPTED)


@app.command()
def submit(spec: SpecPath, server: Server = None) -> None:
    """Queue a search at a running service and print its id."""
    document = _read(spec)
    with _client(server) as client:
        typer.echo(client.submit(document)["id"])


@app.command()
def upload(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="weights (safetensors) or arrays (npz)")
    ],
    server: Server = None,
) -> None:
    """Send a file to a running service and print its id, which specs may name."""
    with _client(server) as client:
        try:
            typer.echo(client.upload(file)["id"])
        except OSError as error:
            raise InvalidInputError("FILE", file, f"a readable file ({error})") from error


@app.command()
def watch(
    search_id: Annotated[str, typer.Argument(metavar="ID", help="srch_...")], server: Server = None
) -> None:
    """Follow a search of a running service until it has finished, and show its result."""
    from service.progress_bar import ProgressBar  # noqa: PLC0415
    from service.result_table import render_result  # noqa: PLC0415

    console = Console()
    with _client(server) as client:
        with ProgressBar(console) as bar:
            found = client.wait(search_id, bar.show_search)
        if found["status"] == "succeeded":
            place = f"{client.base_url}/v1/searches/{search_id}/result"
            files = {"Report": f"{place}/report", "Weights": f"{place}/weights"}
            console.print(render_result(client.result(search_id), files))
            return
    error = found["error"]
    _fail(f"{search_id} {found['status']}" + (f": {error['detail']}" if error else ""), FAILED)


@app.command()
def genes(
    spec: SpecPath,
    every_tensor: Annotated[
        bool, typer.Option("--every-tensor", help="list all tensors of large genes too")
    ] = False,
) -> None:
    """Show what a search would decide about, without running anything."""
    document, settings = _read(spec), _settings()
    from service.composition import describe_spec  # noqa: PLC0415

    table = describe_spec(_parse(document), settings.surroundings)
    console = Console()
    console.print(_gene_table(table, every_tensor=every_tensor))
    for field, report in table.checkpoints.items():
        for line in (f"{field}: {report.summary}", *(f"  {detail}" for detail in report.details)):
            console.print(Text(line))
    if table.estimate is not None:
        from service.cost import render_cost  # noqa: PLC0415

        console.print(render_cost(table.estimate))


@app.command()
def bench(spec: SpecPath) -> None:
    """Time the ways to compute a search on this machine, and estimate how long it will take."""
    _restart_to_compute()
    document, settings = _read(spec), _settings()
    from service.bench import run_bench  # noqa: PLC0415

    run_bench(_parse(document), settings.surroundings, Console())


@app.command()
def convert(
    pickled: Annotated[Path, typer.Argument(metavar="IN", help="a .pth file from torch.save")],
    output: Annotated[Path, typer.Argument(metavar="OUT", help="the safetensors file to write")],
    key: Annotated[
        str | None, typer.Option(help="where the state dict stands in it; by default looked for")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="replace an existing file")] = False,
) -> None:
    """Turn a local .pth file into safetensors, without running code from it."""
    from models.checkpoints.pickled import convert_pickled  # noqa: PLC0415

    converted = convert_pickled(pickled, output, key, overwrite=force)
    for note in converted.notes:
        typer.echo(note)
    typer.echo(f"{output}: {len(converted.state)} tensors")


@app.command()
def apply(
    spec: SpecPath,
    mask: Annotated[str, typer.Argument(metavar="MASK", help="a 0 or 1 for each gene")],
    output: Annotated[Path, typer.Option(help="the safetensors file to write")] = Path(
        "weights.safetensors"
    ),
    force: Annotated[bool, typer.Option("--force", help="replace an existing file")] = False,
) -> None:
    """Write the grafted weights of a mask, not fine-tuned, without a search."""
    _restart_to_compute()
    document, settings = _read(spec), _settings()
    from service.grafting import write_grafted  # noqa: PLC0415

    write_grafted(_parse(document), mask, output, settings.surroundings, overwrite=force)
    typer.echo(f"{output}: {mask}")


def _gene_table(table: GeneTable, *, every_tensor: bool) -> Table:
    rendered = Table(title=f"{table.n_genes} genes")
    for column in ("gene", "tensors", "parameters"):
        rendered.add_column(column, justify="right" if column == "parameters" else "left")
    for gene in table.genes:
        shown = gene.tensors if every_tensor else gene.tensors[:TENSORS_SHOWN]
        more = len(gene.tensors) - len(shown)
        listed = ", ".join(shown) + (f" and {more} more" if more else "")
        rendered.add_row(Text(gene.name), Text(listed), f"{gene.parameters:,}")
    for decision, tensors in (("kept", table.kept), ("transferred", table.transferred)):
        for tensor, reason in tensors.items():
            rendered.add_row(Text(f"always {decision}"), Text(f"{tensor}: {reason}"), "")
    return rendered


def _restart_to_compute() -> None:
    from service.settings import restart_to_compute  # noqa: PLC0415

    restart_to_compute()


def _parse(document: Mapping[str, Any]) -> SearchSpec:
    from service.spec import SearchSpec  # noqa: PLC0415
    from service.spec_problems import problem_of_spec  # noqa: PLC0415

    try:
        return SearchSpec.model_validate(document)
    except ValidationError as error:
        found = problem_of_spec(error)
        _fail("\n".join(str(field) for field in found.errors), WRONG_INPUT)


def _read(path: str) -> dict[str, Any]:
    try:
        text = sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8")
        document = json.loads(text)
    except (OSError, ValueError) as error:
        raise InvalidInputError("SPEC", path, f"a readable JSON file, or - ({error})") from error
    if not isinstance(document, dict):
        raise InvalidInputError("SPEC", type(document).__name__, "a JSON object")
    return document


def _client(server: str | None) -> Client:
    from service.client import Client  # noqa: PLC0415

    return Client(server or _settings().url)


def _settings() -> Settings:
    from service.settings import Settings  # noqa: PLC0415

    return Settings()


def _settings_text(error: ValidationError) -> str:
    lines = []
    for detail in error.errors():
        name = "_".join(str(item) for item in detail["loc"]).upper()
        message = detail["msg"].removeprefix("Value error, ")
        lines.append(f"TRANSFERMASK_{name}: {message}" if name else message)
    return "\n".join(lines)


def _fail(text: str, code: int) -> NoReturn:
    typer.echo(f"Error: {text}", err=True)
    sys.exit(code)


if __name__ == "__main__":
    main()
