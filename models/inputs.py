"""Files that a spec names: they lie under one folder, wherever the links lead."""

from __future__ import annotations

from pathlib import Path

from search.errors import InvalidInputError


class InputFolder:
    """The only folder from which a request may name files."""

    def __init__(self, root: Path) -> None:
        """Bind the folder; it need not exist yet."""
        self.root = root

    def resolve(self, path: str, field: str) -> Path:
        """Find a file by its path below the folder.

        Args:
            path: Relative to the folder.
            field: Where the path stood in the spec, for the error.

        Raises:
            InvalidInputError: An absolute path, one that leads out of the folder (links followed), or no file.
        """
        found = self._locate(path, field, "file")
        if not found.is_file():
            raise InvalidInputError(
                field, repr(path), f"an existing file below {self.root.resolve()}"
            )
        return found

    def resolve_folder(self, path: str, field: str) -> Path:
        """Find a folder by its path below this one; as ``resolve`` otherwise.

        Raises:
            InvalidInputError: An absolute path, one that leads out of the folder (links followed), or no folder.
        """
        found = self._locate(path, field, "folder")
        if not found.is_dir():
            raise InvalidInputError(
                field, repr(path), f"an existing folder below {self.root.resolve()}"
            )
        return found

    def _locate(self, path: str, field: str, wanted: str) -> Path:
        root = self.root.resolve()
        if Path(path).is_absolute():
            raise InvalidInputError(field, repr(path), f"a path relative to {root}")
        try:
            found = (root / path).resolve()
            found.exists()
        except (OSError, RuntimeError, ValueError) as error:
            # A name that is too long, a loop of links, characters that no file name has.
            raise InvalidInputError(
                field, ascii(path[:100]), f"a path that the system can look up: {error}"
            ) from error
        if not found.is_relative_to(root):
            raise InvalidInputError(
                field, repr(path), f"a {wanted} inside {root}; this path leads out of it"
            )
        return found
