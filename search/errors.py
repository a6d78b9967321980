"""Everything that can be wrong with a search, as one tree.

    TransferMaskError
    ├── InvalidInputError            one named field: what came, what was expected
    │   ├── UnknownPluginError       a kind that is not registered
    │   └── DataError                only reading the data could show it
    ├── GenomeLengthError            a mask for another number of genes
    ├── DuplicatePluginError         two plug-ins claim one kind
    ├── LedgerError                  the ledger cannot be read or written
    │   └── LeaseLostError           another worker owns the job now
    └── ChunkOutOfMemoryError        a chunk did not fit; the same candidates may, in smaller chunks

An *error* means that the caller or the program is wrong.  What the world does to one candidate (it diverged,
it did not fit into memory) is an ``Outcome`` of its evaluation, never an exception.
"""

from __future__ import annotations


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


class ChunkOutOfMemoryError(TransferMaskError, MemoryError):
    """A chunk of several candidates did not fit into memory; the caller asks again with a smaller one."""
