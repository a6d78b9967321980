"""Arrays, tables and images."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.hostile.case import Case, arrays, images, table
from benchmarks.hostile.weight_cases import PICKLE, write_bomb
from tests.models.formats.hostile_files import npy, npz_of

GB, GIB = 10**9, 2**30
ROWS = 90


def cases() -> list[Case]:
    """All of them."""
    return [*_arrays(), *_tables(), *_images()]


def lines(*rows: str, header: str = "text,label") -> str:
    """A table of good rows with some others in the middle."""
    good = [f"word number {number},{'ab'[number % 2]}" for number in range(30)]
    return "\n".join([header, *good[:15], *rows, *good[15:]]) + "\n"


def write_large_table(path: Path, n_bytes: int = GB) -> None:
    """Write rows of one column, every byte of them."""
    row = b"the quick brown fox jumps over the lazy dog, 0123456789\n".replace(b",", b"")
    piece = row * 20_000
    with path.open("wb") as file:
        file.write(b"text\n")
        while file.tell() < n_bytes:
            file.write(piece)


def write_large_png(path: Path, side: int = 20_000) -> None:
    """Write a black square, a bit for each pixel."""
    packer = zlib.compressobj(9)
    row = bytes(1 + (side + 7) // 8)
    packed = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + checksum

    head = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    chunks = (chunk(b"IHDR", head), chunk(b"IDAT", packed), chunk(b"IEND", b""))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))


def _saved(**changes: Any) -> Callable[[Path], None]:
    good: dict[str, Any] = {"x": np.zeros((ROWS, 8), np.float32), "y": np.arange(ROWS) % 2}
    return lambda path: np.savez(path, **good | changes)


def _arrays() -> list[Case]:
    not_finite = np.zeros((ROWS, 8), np.float32)
    not_finite[41, 3] = np.nan
    objects = np.array([{"a": 1}] * ROWS, dtype=object)
    return [
        arrays("a pickle named .npz", lambda path: path.write_bytes(PICKLE), "numpy.savez"),
        arrays("x of pickled objects", _saved(x=objects), "pickled objects"),
        arrays("5 MB that inflate to 5 GiB", lambda p: write_bomb(p, 5 * GIB), "at most 4,294,967"),
        arrays(
            "a header about other bytes than there are",
            lambda path: path.write_bytes(npz_of(("x.npy", npy(np.zeros(9), (2**38, 1))))),
            "bytes that its header announces",
        ),
        arrays("y of another length than x", _saved(y=np.arange(ROWS - 1) % 2), "(89,)"),
        arrays("labels as floats", _saved(y=np.arange(ROWS) % 2 / 1), "integer classes"),
        arrays("one class", _saved(y=np.zeros(ROWS, np.int64)), "classes"),
        arrays("a NaN in x", _saved(x=not_finite), "row 41"),
    ]


def _text(*rows: str) -> Callable[[Path], object]:
    return lambda path: path.write_text(lines(*rows), encoding="utf-8")


def _write_parquet(path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"text": ["a", "b"] * 50, "label": ["x", "y"] * 50}), path)
    path.write_bytes(path.read_bytes()[:-20])


def _tables() -> list[Case]:
    only_a = "text,label\n" + "one,a\n" * 40
    latin = lines("caf\u00e9,a").encode("latin-1")
    broken = '{"text": "one", "label": "a"}\n{"text": "two", "lab\n'
    return [
        table("csv of 1 GB with one column", write_large_table, "at most 268,435,456"),
        table(
            "csv of 200 MB with one column",
            lambda path: write_large_table(path, GB // 5),
            "no column 'label'",
        ),
        table(
            "csv of 200 MB without a line's end",
            lambda path: path.write_bytes(b"text,label\n" + bytes([97]) * (GB // 5)),
            "no end of the row",
        ),
        table("an empty csv", lambda path: path.touch(), "an empty file"),
        table("csv with a row without label", _text("no label here,"), "line 17: no label"),
        table("labels as floats", _text("one,1.0"), "line 17: the label '1.0'"),
        table("one class", lambda path: path.write_text(only_a), "one class, 'a'"),
        table("latin-1 bytes", lambda path: path.write_bytes(latin), "byte 0xe9"),
        table("NUL bytes", _text("one\0two,a"), "line 17: a NUL byte"),
        table("a quote that is never closed", _text('"one,a'), "line 17"),
        table("jsonl with a broken line", lambda p: p.write_text(broken), "line 2", "t.jsonl"),
        table(
            "jsonl nested 100,000 deep",
            lambda path: path.write_text("[" * 100_000 + "\n"),
            "line 1",
            "t.jsonl",
        ),
        table("truncated parquet", _write_parquet, "a parquet file", "t.parquet"),
    ]


def write_classes(folder: Path) -> None:
    """Two classes of good images, ``a`` and ``b``."""
    rng = np.random.default_rng(0)
    for number in range(24):
        path = folder / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (9, 9), dtype=np.uint8)).save(path)


def _beside(name: str, write: Callable[[Path], object]) -> Callable[[Path], None]:
    """Good images with one more in class ``a``."""

    def write_all(folder: Path) -> None:
        write_classes(folder)
        write(folder / "a" / name)

    return write_all


def _save_truncated(path: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    path.write_bytes(path.read_bytes()[:1000])


def _save_animated(path: Path, frames: Sequence[int] = (0, 100, 200)) -> None:
    first, *others = [Image.new("L", (9, 9), grey) for grey in frames]
    first.save(path, save_all=True, append_images=others)


def _write_empty_class(folder: Path) -> None:
    write_classes(folder)
    (folder / "nothing").mkdir()


def _images() -> list[Case]:
    tiny = Image.new("L", (1, 1))
    return [
        images("one of 1 x 1", _beside("1.png", tiny.save), "a/1.png: 1 x 1 pixels"),
        images("one of 20000 x 20000", _beside("large.png", write_large_png), "pixels"),
        images(
            "text named .png",
            _beside("t.png", lambda path: path.write_text("no picture\n")),
            "a/t.png: no image",
        ),
        images("a truncated JPEG", _beside("cut.jpg", _save_truncated), "a/cut.jpg: no image"),
        images("an animated GIF", _beside("film.gif", _save_animated), "several pictures"),
        images("an empty class", _write_empty_class, "nothing: a folder without images"),
        images(
            "a link to a file elsewhere",
            _beside("link.png", lambda path: path.symlink_to("/etc/passwd")),
            "leads out of it",
        ),
    ]
