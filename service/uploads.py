"""Uploads: streamed to disk, checked, named by their content; files and rows appear and go together.

Several processes may share the folder.  What is still arriving is locked by the process that receives it, so that the
lock ends with the process; whoever starts next removes what nobody holds.  Between arriving and published, and between
published and gone, a file is in limbo: there its row in the database decides which of the two it becomes.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from models.checkpoints import rename_durably
from models.formats.content import FileKind
from models.formats.recognition import check_file
from models.uploads import ArtifactId, UploadFolder
from service.artifact_rows import ArtifactRows
from service.errors import StorageFullError

FIELD = "body"
_ARRIVING, _LIMBO, _LOCK = ".arriving-", ".limbo-", ".lock"
# Without an announced length, room is taken in pieces of this size.
ROOM_BYTES = 64 << 20


class UploadStore:
    """Receives, publishes and deletes uploads."""

    def __init__(
        self, folder: UploadFolder, rows: ArtifactRows, *, max_bytes: int, max_total_bytes: int
    ) -> None:
        """Bind folder and rows.

        Args:
            folder: Created when first needed.
            rows: What the database knows.
            max_bytes: Of one upload, and of its arrays when unpacked.
            max_total_bytes: Of all together, those that are still arriving included.
        """
        self._folder, self._rows = folder, rows
        self._max_bytes, self._max_total_bytes = max_bytes, max_total_bytes

    def receive(self, announced_bytes: int | None) -> Arrival:
        """Begin to take in one upload, for the caller to close.

        Raises:
            StorageFullError: There is no room for what is announced.
        """
        with self._locked():
            path = self._folder.root / f"{_ARRIVING}{secrets.token_hex(12)}"
            file = path.open("xb+")
            fcntl.flock(file, fcntl.LOCK_EX)
        arrival = Arrival(self, path, file)
        try:
            if announced_bytes:
                arrival.make_room(announced_bytes, announced_bytes)
        except BaseException:
            arrival.close()
            raise
        return arrival

    def publish(self, path: Path, artifact_id: ArtifactId, name: str) -> bool:
        """Check a file that has arrived and give it its id; False if it was there already.

        Raises:
            InvalidInputError: It is none of the kinds that are taken, or broken.
        """
        size = path.stat().st_size
        content = check_file(path, FIELD, self._max_bytes)
        final = self._folder.path(artifact_id, content.kind)
        with self._locked():
            if self._rows.knows(artifact_id):
                if not final.exists():
                    rename_durably(path, final)
                return False
            limbo = self._limbo(final)
            with self._rows.adding(artifact_id, name, size, content):
                rename_durably(path, limbo)
            rename_durably(limbo, final)
        return True

    def delete(self, artifact_id: str) -> None:
        """Delete an upload that no search needs.

        Raises:
            ArtifactNotFoundError: There is none with that id.
            ArtifactInUseError: A search needs it.
        """
        kind: FileKind = self._rows.get(artifact_id)["kind"]
        final = self._folder.path(artifact_id, kind)
        with self._locked():
            limbo = self._limbo(final)
            with self._rows.deleting(artifact_id), suppress(FileNotFoundError):
                rename_durably(final, limbo)
            limbo.unlink(missing_ok=True)

    def clean(self) -> None:
        """Remove what processes left that ended in the middle of something; others may be at work."""
        with self._locked():
            for path in self._folder.root.glob(f"{_ARRIVING}*"):
                if not _is_held(path):
                    path.unlink(missing_ok=True)
            for path in self._folder.root.glob(f"{_LIMBO}*"):
                name = path.name.removeprefix(_LIMBO)
                if self._rows.knows(Path(name).stem):
                    rename_durably(path, self._folder.root / name)
                else:
                    path.unlink(missing_ok=True)

    def make_room(self, path: Path, n_bytes: int, least_bytes: int) -> int:
        """Let a file be larger before its bytes are there, so that others see what is taken.

        Args:
            path: Of the file.
            n_bytes: The size it shall have.
            least_bytes: The size that would do.

        Returns:
            The size it has now.

        Raises:
            StorageFullError: Then all together would be too large, or the disk is full.
        """
        with self._locked():
            others = sum(_size(other) for other in self._folder.root.iterdir() if other != path)
            free = self._max_total_bytes - others
            if least_bytes > free:
                raise StorageFullError(
                    f"uploads take {others} bytes of at most {self._max_total_bytes} "
                    f"(TRANSFERMASK_MAX_ARTIFACT_STORE_BYTES), and this one needs {least_bytes}"
                )
            size = min(n_bytes, free)
            os.truncate(path, size)
            return size

    def _limbo(self, final: Path) -> Path:
        return final.with_name(f"{_LIMBO}{final.name}")

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Alone in the folder, among all processes; for moments only."""
        self._folder.root.mkdir(parents=True, exist_ok=True)
        with (self._folder.root / _LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


class Arrival:
    """One upload that is arriving."""

    def __init__(self, store: UploadStore, path: Path, file: BinaryIO) -> None:
        """Bind an empty file that this process holds."""
        self._store, self._path, self._file = store, path, file
        self._digest = hashlib.sha256()
        self._received_bytes, self._room_bytes = 0, 0

    def make_room(self, n_bytes: int, least_bytes: int) -> None:
        """Take ``n_bytes`` of the store altogether, or what there is if that is ``least_bytes`` at least.

        Raises:
            StorageFullError: There is not so much.
        """
        self._room_bytes = self._store.make_room(self._path, n_bytes, least_bytes)

    def write(self, piece: bytes) -> None:
        """Take in the next piece.

        Raises:
            StorageFullError: There is no room for it.
        """
        needed = self._received_bytes + len(piece)
        if needed > self._room_bytes:
            self.make_room(needed + ROOM_BYTES, needed)
        try:
            self._file.write(piece)
        except OSError as error:
            raise _full_or(error) from error
        self._digest.update(piece)
        self._received_bytes += len(piece)

    def close(self) -> None:
        """Remove what was not published."""
        with suppress(OSError):  # what is still buffered finds no room
            self._file.close()
        self._path.unlink(missing_ok=True)

    def publish(self, name: str) -> tuple[ArtifactId, bool]:
        """Give what has arrived its id; also tells whether it is new.

        Raises:
            InvalidInputError: It is none of the kinds that are taken, or broken.
            StorageFullError: The disk is full.
        """
        try:
            self._file.flush()
            self._file.truncate(self._received_bytes)
            os.fsync(self._file.fileno())
        except OSError as error:
            raise _full_or(error) from error
        artifact_id = ArtifactId.of_digest(self._digest.hexdigest())
        return artifact_id, self._store.publish(self._path, artifact_id, name)


def _full_or(error: OSError) -> Exception:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageFullError("the disk of the data directory is full")
    return error


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        # An upload that was given up a moment ago.
        return 0


def _is_held(path: Path) -> bool:
    """Whether a living process is still writing a file."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False
