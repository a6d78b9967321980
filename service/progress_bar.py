"""A progress bar for a search, in a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn


class ProgressBar:
    """Shows the ``progress`` of the HTTP contract; a context manager."""

    def __init__(self, console: Console) -> None:
        """Bind the terminal; nothing is shown before the context is entered."""
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[detail]}"),
            TimeElapsedColumn(),
            console=console,
        )
        self._task = self._bar.add_task("queued", total=1.0, detail="")
        self._message: str | None = None

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def show(self, progress: Mapping[str, Any]) -> None:
        """Show one report."""
        details = [f"{progress['evaluations']} of {progress['budget']} evaluations"]
        if progress["best_fitness"] is not None:
            details.append(f"best {progress['best_fitness']:.3f}")
        if progress["eta_seconds"] is not None:
            details.append(f"about {progress['eta_seconds']:.0f} s left")
        # The report of an older version has none.
        message = progress.get("message")
        if message is not None and message != self._message:
            self._bar.console.print(message)
        self._message = message
        self._bar.update(
            self._task,
            description=progress["phase"],
            completed=progress["fraction"],
            detail=", ".join(details),
        )

    def show_search(self, search: Mapping[str, Any]) -> None:
        """Show a search as the service answers it."""
        if search["progress"] is not None:
            self.show(search["progress"])
        if search["status"] == "succeeded":
            self._bar.update(self._task, description="succeeded", completed=1.0)
