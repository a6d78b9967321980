"""Files that a spec names: they lie under one folder, wherever the links lead."""

from __future__ import annotations

from pathlib import Path

from search.errors import InvalidInputError


class InputFolder:
    """The only folder from which a request may name files.

    Every path is relative to it.  Refused are absolute paths, those that lead out of the folder (links followed), and
    those where nothing of the wanted kind is.
    """

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
        found = self._find(path, field)
        if not found.is_file():
            raise self._missing(path, field, "file")
        return found

    def resolve_folder(self, path: str, field: str) -> Path:
        """Find a folder; what lies in it is found with ``resolve_inside``, since links in it may lead anywhere.

        Raises:
            InvalidInputError: As for ``resolve``.
        """
        found = self._find(path, field)
        if not found.is_dir():
            raise self._missing(path, field, "folder")
        return found

    def resolve_any(self, path: str, field: str) -> Path:
        """Find a file or a folder.

        Raises:
            InvalidInputError: As for ``resolve``.
        """
        found = self._find(path, field)
        if not (found.is_file() or found.is_dir()):
            raise self._missing(path, field, "file or folder")
        return found

    def resolve_inside(self, folder: Path, name: str, field: str) -> Path:
        """Find a file of a folder that was found before.

        Args:
            folder: From ``resolve_folder`` or ``resolve_any``.
            name: Of the file.
            field: Where the folder stood in the spec.

        Raises:
            InvalidInputError: As for ``resolve``.
        """
        place = folder.relative_to(self.root.resolve()) / name
        return self.resolve(str(place), field)

    def _find(self, path: str, field: str) -> Path:
        """What a path leads to; whether there is anything is not said."""
        root = self.root.resolve()
        if Path(path).is_absolute():
            raise InvalidInputError(field, repr(path), f"a path relative to {root}")
        try:
            found = (root / path).resolve()
            is_inside = found.is_relative_to(root)
            if is_inside:
                found.stat()
        except (FileNotFoundError, NotADirectoryError):
            pass
        except (OSError, RuntimeError, ValueError) as error:
            # A name that is too long, a loop of links, characters that no file name has.  The system's words come
            # without the path, which may have a million letters.
            reason = getattr(error, "strerror", None) or str(error)[:200]
            raise InvalidInputError(
                field, ascii(path[:100]), f"a path that the system can look up: {reason}"
            ) from error
        if not is_inside:
            raise InvalidInputError(
                field, repr(path), f"a file inside {root}; this path leads out of it"
            )
        return found

    def _missing(self, path: str, field: str, kind: str) -> InvalidInputError:
        expected = f"an existing {kind} below {self.root.resolve()}"
        return InvalidInputError(field, repr(path), expected)
