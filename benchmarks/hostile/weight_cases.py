"""Weights and archives that are uploaded, or lie where a spec finds them."""

from __future__ import annotations

import json
import pickle
import struct
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save, save_file

from benchmarks.hostile.case import FOLDER, Case, asked, upload, weights
from benchmarks.hostile.sending import Answer, Content, Sender
from tests.models.checkpoints.raw_safetensors import FLOAT, entry, write_raw
from tests.models.formats.hostile_files import HOSTILE, X, npy, npz, npz_of, safetensors_of

MIB = 2**20
# Of the service that is tried, so that what is too large need not be large.
MAX_UPLOAD_BYTES = 64 * MIB
FIRST = "linear1.weight"
NAN = np.array([np.nan], dtype=np.float32).tobytes()
PICKLE = pickle.dumps({"weights": [1.0] * 100})
GIANT_HEADER = struct.pack("<Q", 17 * MIB) + b"{" + b" " * (17 * MIB)
TWICE = f'{{"a":{FLOAT},"a":{FLOAT}}}'.encode()


def cases() -> list[Case]:
    """All of them."""
    return [*_uploads(), *_upload_requests(), *_files()]


def write_bomb(path: Path, n_bytes: int, rows: int = 90) -> None:
    """Write an archive of zeros: float32 ``x`` of so many bytes in so many rows, and labels of two classes."""
    shape = (rows, n_bytes // 4 // rows)
    start = npy(np.zeros(0, dtype=np.float32), shape)
    left = 4 * shape[0] * shape[1]
    zeros = bytes(64 * MIB)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open("x.npy", "w", force_zip64=True) as member:
            member.write(start)
            while left:
                piece = zeros[:left]
                member.write(piece)
                left -= len(piece)
        archive.writestr("y.npy", npy(np.arange(rows) % 2))


def _known(name: str) -> Content:
    return HOSTILE[name][0]


def _many_names(prefix: str = "tensor", **last: bytes) -> bytes:
    """A header of 12 MB about 200,000 tensors without numbers, and one more with some."""
    none = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    header: dict[str, object] = {f"{prefix}{number}": none for number in range(200_000)}
    for name, content in last.items():
        header[name] = entry(shape=(len(content) // 4,), end=len(content))
    return safetensors_of(header, b"".join(last.values()))


def _truncated() -> bytes:
    return save({FIRST: torch.zeros(16, 64)})[:-100]


def _uploads() -> list[Case]:
    missized = {"w": entry(shape=(2**62, 2**62))}
    return [
        upload("truncated safetensors", _truncated, "safetensors"),
        upload("safetensors with a header of 17 MiB", lambda: GIANT_HEADER, "at most 16777216"),
        upload(
            "safetensors whose header claims 10 GB",
            lambda: struct.pack("<Q", 10**10) + b"{}" + bytes(100),
            "was it cut off?",
        ),
        upload("pickle named .safetensors", lambda: PICKLE, "a pickle", "w.safetensors"),
        upload(
            "PyTorch checkpoint named .npz", partial(_known, "torch checkpoint"), ".pth", "w.npz"
        ),
        upload("npz with pickled objects", partial(_known, "objects"), "pickled objects"),
        upload("tensors whose bytes overlap", partial(_known, "offsets that overlap"), "offset"),
        upload("a tensor's name twice in the header", partial(_known, "a name twice"), "twice"),
        upload(
            "a tensor of an unknown type", lambda: safetensors_of({"w": entry("F99")}, bytes(4)), ""
        ),
        upload("a shape whose product overflows", lambda: safetensors_of(missized, bytes(4)), ""),
        upload("NaN behind 200,000 empty tensors", lambda: _many_names(last=NAN), "last with NaN"),
        upload("NaN weights", partial(_known, "NaN weights"), "NaN or infinite values"),
        upload("npz with NaN", lambda: npz(x=np.array([np.nan])), "x with NaN"),
        upload("a member that climbs out", lambda: npz_of(("../x.npy", npy(X))), "plain names"),
        upload("an empty body", lambda: b"", "0 bytes"),
        Case("upload: npz of 1 MB that inflates to 1 GiB", _send_bomb, "body", "when unpacked"),
    ]


def _send_bomb(sender: Sender) -> Answer:
    path = sender.inputs / "bomb.npz"
    try:
        write_bomb(path, 1024 * MIB)
        return sender.upload(path.read_bytes())
    finally:
        path.unlink()


def _too_much() -> Iterator[bytes]:
    for _ in range(MAX_UPLOAD_BYTES // MIB + 1):
        yield bytes(MIB)


def _upload_requests() -> list[Case]:
    return [
        Case(
            "upload: larger than the limit, announced",
            lambda sender: sender.upload(bytes(MAX_UPLOAD_BYTES + 1)),
            "",
            f"at most {MAX_UPLOAD_BYTES}",
        ),
        Case(
            "upload: larger than the limit, not announced",
            lambda sender: sender.upload(_too_much),
            "",
            f"at most {MAX_UPLOAD_BYTES}",
        ),
        Case(
            "upload: ends after half of what it announced",
            lambda sender: sender.announce(20 * MIB, b"{" * 10 * MIB),
            "",
            "no file is left",
        ),
        Case(
            "upload: as a form of another web site would send it",
            lambda sender: sender.upload(save({"w": torch.zeros(3)}), kind="text/plain"),
            "",
            "application/octet-stream",
        ),
    ]


def _write_shards(folder: Path) -> None:
    """Three shards of 200,000 tensors each, of which the index names one."""
    for letter in "abc":
        (folder / f"{letter}.safetensors").write_bytes(_many_names(letter))
    index = {"weight_map": {f"{letter}0": f"{letter}.safetensors" for letter in "abc"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def _files() -> list[Case]:
    not_finite = torch.zeros(16, 64)
    not_finite[3, 4] = torch.nan
    return [
        weights("truncated", lambda path: path.write_bytes(_truncated()), "not fully covered"),
        weights("a header of 17 MiB", lambda path: path.write_bytes(GIANT_HEADER), "17,825,792"),
        weights(
            "200,000 tensors of no network",
            lambda path: path.write_bytes(_many_names()),
            "6 of 6 tensors do not fit",
        ),
        asked(
            "weights: three shards of 200,000 tensors each",
            {"source": {"kind": "file", "path": FOLDER}},
            "source.path",
            "more than 350,000 tensors",
            _write_shards,
        ),
        weights("a pickle", lambda path: path.write_bytes(PICKLE), "transfermask convert"),
        weights("a .pth file", lambda path: torch.save({FIRST: 1}, path), "transfermask convert"),
        weights(
            "tensors whose bytes overlap",
            lambda path: write_raw(path, {"a": entry(), "b": entry()}),
            "offset",
        ),
        weights("a tensor's name twice", lambda path: write_raw(path, TWICE), "a stands twice"),
        weights("an unknown type", lambda path: write_raw(path, {"a": entry("F99")}), "F99"),
        weights(
            "a shape whose product overflows",
            lambda path: write_raw(path, {"a": entry(shape=(2**62, 4))}),
            "overflow",
        ),
        weights(
            "tensors of another network's shapes",
            lambda path: save_file({FIRST: torch.zeros(3, 3)}, path),
            "(16, 64)",
        ),
        weights("NaN", lambda path: save_file({FIRST: not_finite}, path), f"{FIRST} with NaN"),
    ]
