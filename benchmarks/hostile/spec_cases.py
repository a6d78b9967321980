"""Paths, configurations of networks, and bodies that are no specs."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from benchmarks.hostile.case import FOLDER, Case, Write, asked, text_task
from models.huggingface.folder import TOKENIZER_FILES
from tests.models.huggingface.cases import write_folder, write_tokenizer
from tests.service.server_process import QUICK_SPEC

MIB = 2**20


def cases() -> list[Case]:
    """All of them."""
    return [*_paths(), *_models(), *_bodies()]


def _nothing(folder: Path) -> None:
    """Write no file."""


def _linked(folder: Path) -> None:
    secret = folder.parents[1] / "secret.safetensors"
    save_file({"linear1.weight": torch.zeros(16, 64)}, secret)
    (folder / "w.safetensors").symlink_to("../../secret.safetensors")


def _circle(folder: Path) -> None:
    (folder / "w.safetensors").symlink_to("w.safetensors")


def _path(name: str, path: str, says: str, write: Write = _nothing) -> Case:
    source = {"kind": "file", "path": path}
    return asked(f"path: {name}", {"source": source}, "source.path", says, write)


def _paths() -> list[Case]:
    return [
        _path("absolute", "/etc/passwd", "a path relative to"),
        _path("with ..", "../transfermask.sqlite", "leads out of it"),
        _path("a link out of the data", f"{FOLDER}/w.safetensors", "leads out of it", _linked),
        _path("a link to itself", f"{FOLDER}/w.safetensors", "look up", _circle),
        _path("5,000 letters", "w" * 5000, "look up"),
    ]


def _model(name: str, says: str, write: Write, field: str = "model") -> Case:
    return asked(f"model: {name}", text_task(FOLDER), field, says, write)


def _folder(**changes: object) -> Write:
    """A folder with a configuration that has some more, or other, keys."""
    return lambda folder: write_folder(folder, **changes)  # type: ignore[arg-type]


def _without_padding(folder: Path) -> None:
    write_folder(folder)
    write_tokenizer(folder)


def _large_vocabulary(folder: Path) -> None:
    write_folder(folder)
    path = folder / "tokenizer.json"
    tokenizer = json.loads(path.read_text())
    tokenizer["model"]["vocab"] = {f"w{number}": number for number in range(3_000_000)}
    path.write_text(json.dumps(tokenizer, separators=(",", ":")))


def _large_files(folder: Path) -> None:
    write_folder(folder)
    for name in TOKENIZER_FILES[2:]:
        (folder / name).write_bytes(bytes(60 * MIB))


def _models() -> list[Case]:
    large = {"hidden_size": 16_384, "intermediate_size": 65_536, "num_hidden_layers": 6}
    code = {"AutoModelForSequenceClassification": "code.Network"}
    return [
        _model(
            "a tokenizer without a token for padding",
            "without a token for padding",
            _without_padding,
            "model.pad_token",
        ),
        _model("a vocabulary of 3 million tokens", "entries", _large_vocabulary),
        _model("a tokenizer of nine files of 60 MB", "bytes together", _large_files),
        _model("code of its own (auto_map)", "'auto_map'", _folder(auto_map=code)),
        _model(
            "quantised",
            "'quantization_config'",
            _folder(quantization_config={"quant_method": "bitsandbytes"}),
        ),
        _model("19 billion parameters", "too few", _folder(**large)),
        _model("a million layers", "at most 1024 layers", _folder(num_hidden_layers=1_000_000)),
        _model("ten million groups of layers", "at most 32,768", _groups),
        _model("a configuration of a million lists", "more than 10,000 values", _lists),
        _model(
            "one that no text fits",
            "multiple of the chunk size",
            _folder(chunk_size_feed_forward=7),
        ),
        _model("an architecture of no library", "'nonsense'", _nonsense),
        _model("a configuration that is no JSON", "config.json", _no_json),
    ]


def _groups(folder: Path) -> None:
    write_folder(folder)
    options = {"model_type": "albert", "hidden_size": 8, "num_attention_heads": 2}
    (folder / "config.json").write_text(json.dumps({**options, "num_hidden_groups": 10**7}))


def _lists(folder: Path) -> None:
    write_folder(folder, extra=[[]] * MIB)


def _nonsense(folder: Path) -> None:
    write_folder(folder)
    (folder / "config.json").write_text('{"model_type": "nonsense"}')


def _no_json(folder: Path) -> None:
    write_folder(folder)
    (folder / "config.json").write_text("{" * 100_000)


def _body(name: str, content: bytes, field: str, says: str) -> Case:
    return Case(f"body: {name}", lambda sender: sender.body(content), field, says)


def _spec(**changes: object) -> bytes:
    return json.dumps({**QUICK_SPEC, **changes}).encode()


def _nested(depth: int) -> bytes:
    return _spec(name="here").replace(b'"here"', b"[" * depth + b"]" * depth)


def _nested_config(depth: int) -> bytes:
    config = {"model_type": "bert", "extra": "here"}
    model = {"kind": "transformers", "task": "sequence_classification", "config": config}
    deep = b'{"a": ' * depth + b"1" + b"}" * depth
    return _spec(model=model).replace(b'"here"', deep)


def _bodies() -> list[Case]:
    many = {f"key{number}": number for number in range(50_000)}
    digits = _spec(seed=0).replace(b'"seed": 0', b'"seed": ' + b"9" * 100_000)
    infinite = _spec(budget={"seconds": 5}).replace(b'"seconds": 5', b'"seconds": 1e999')
    return [
        _body("no JSON", b"name: quick\n", "", "not JSON"),
        _body("latin-1", b'{"name": "caf\xe9"}', "", "byte 0xe9"),
        _body("nested 100,000 deep", _nested(100_000), "", "nested too deeply"),
        _body("nested 900 deep", _nested(900), "name", "string"),
        _body("a configuration nested 900 deep", _nested_config(900), "model.config", "50 deep"),
        _body("2 MiB", _spec(name="x" * 2 * MIB), "", "at most 1048576"),
        _body("an unknown key", _spec(modell={}), "modell", "did you mean 'model'?"),
        _body("50,000 unknown keys", _spec(**many), "key0", "no such key here"),
        _body("a number of 100,000 digits", digits, "", "4300 digits"),
        _body("infinity", infinite, "budget", "finite"),
    ]
