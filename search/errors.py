"""Everything that can be wrong with a search, as one tree.

    TransferMaskError
    ├── InvalidInputError            one named field: what came, what was expected
    │   ├── UnknownPluginError       a kind that is not registered
    │   ├── DataError                only reading the data could show it
    │   └── UnsharableTaskError      networks or data that cannot be sent to other processes
    ├── GenomeLengthError            a mask for another number of genes
    ├── DuplicatePluginError         two plug-ins claim one kind
    ├── LedgerError                  the ledger cannot be read or written
    │   └── LeaseLostError           another worker owns the job now
    ├── WorkerError                  a process that measures for this one went wrong
    │   ├── WorkerFailedError        it raised an exception
    │   └── WorkerDiedError          it ended
    └── ChunkOutOfMemoryError        a chunk did not fit; the same candidates may, in smaller chunks

An *error* means that the caller or the program is wrong.  What the world does to one candidate (it diverged,
it did not fit into memory) is an ``Outcome`` of its evaluation, never an exception.
"""

from __future__ import annotations

import signal


class TransferMaskError(Exception):
    """Base of every error that this project raises on purpose."""


class InvalidInputError(TransferMaskError, ValueError):
    """One field of a request, a spec or a file is wrong, and the user can mend it."""

    def __init__(self, field: str, given: object, expected: str) -> None:
        """Keep the parts as fields, so that the service can report them one by one.

        Args:
            field: Dotted path of the field, ``"dataset.train_size"`` say.
            given: What came; shown as it is.
            expected: What was expected and, where there is one, the way out.
        """
        self.field, self.given, self.expected = field, given, expected
        super().__init__(f"{field}: {given!s} given, expected {expected}")


class UnknownPluginError(InvalidInputError, LookupError):
    """A job names a plug-in that is not registered."""

    def __init__(self, family: str, name: str, known: list[str]) -> None:
        """Keep the family, the unknown name and the registered names."""
        self.family, self.name, self.known = family, name, known
        super().__init__(f"{family}.kind", repr(name), f"one of: {', '.join(known)}")


class DataError(InvalidInputError):
    """The data themselves do not allow the search: too few rows, one class, a broken file."""


class UnsharableTaskError(InvalidInputError):
    """Networks or data cannot be sent to other processes; one process can still measure them."""

    def __init__(self, processes: int, cause: str) -> None:
        """Keep the cause: what cannot be sent, and why."""
        self.cause = cause
        super().__init__(
            "plan.processes", processes, f"1 for what cannot be sent to other processes: {cause}"
        )


class GenomeLengthError(TransferMaskError, ValueError):
    """A mask has another number of bits than the model has genes."""

    def __init__(self, n_bits: int, n_genes: int) -> None:
        """Keep both lengths."""
        self.n_bits, self.n_genes = n_bits, n_genes
        super().__init__(f"the mask has {n_bits} bits, the model has {n_genes} genes")


class DuplicatePluginError(TransferMaskError):
    """Two plug-ins of one family claim the same kind."""


class LedgerError(TransferMaskError):
    """The ledger cannot be read or written."""


class LeaseLostError(LedgerError):
    """The job was claimed by another worker; this one must stop writing at once."""


class WorkerError(TransferMaskError, RuntimeError):
    """A process that measures for this one went wrong."""


class WorkerFailedError(WorkerError):
    """A worker raised an exception; its traceback follows the first line of the message."""

    def __init__(self, cause: str, traceback: str) -> None:
        """Keep the exception as one line, and its traceback as text."""
        self.cause, self.traceback = cause, traceback
        super().__init__(f"{cause}\nin a worker process (plan.processes):\n{traceback}")


class WorkerDiedError(WorkerError):
    """A worker ended although nobody had asked it to."""

    def __init__(self, exit_status: int, last_words: str) -> None:
        """Keep the exit code, or minus the signal, and the last lines that the worker wrote to standard error."""
        self.exit_status, self.last_words = exit_status, last_words
        message = (
            f"a worker process ended by {_end_text(exit_status)}; with plan.processes 1 the search does without "
            "workers, with smaller plan.chunks they need less memory"
        )
        super().__init__(f"{message}\n{last_words}" if last_words else message)

    @property
    def was_killed(self) -> bool:
        """True after SIGKILL, which is what the kernel sends when memory has run out."""
        return self.exit_status == -signal.SIGKILL


class ChunkOutOfMemoryError(TransferMaskError, MemoryError):
    """A chunk of several candidates did not fit into memory; the caller asks again with a smaller one."""


def _end_text(exit_status: int) -> str:
    if exit_status >= 0:
        return f"exit code {exit_status}"
    try:
        return f"signal {signal.Signals(-exit_status).name}"
    except ValueError:
        return f"signal {-exit_status}"
