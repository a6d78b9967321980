"""Uploads to a real server over real sockets: lying, aborting, large and dying clients and servers."""

from __future__ import annotations

import hashlib
import json
import signal
import socket
import struct
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx2
import psutil
import pytest
from safetensors.torch import save_file

from service.errors import ServiceError
from tests.models.formats.hostile_files import WEIGHTS
from tests.service.server_process import ServerProcess
from tests.service.waiting import wait_until

LARGE_BYTES = 300_000_000
ZEROS = bytes(1 << 20)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("uploads") / "data"
    with ServerProcess(folder, max_artifact_bytes=LARGE_BYTES + 1000) as server:
        yield server


def files_in(server: ServerProcess) -> list[str]:
    return [path.name for path in server.settings.uploads_dir.glob("*") if path.name != ".lock"]


def begun(server: ServerProcess, announced_bytes: int, content: bytes = b"") -> socket.socket:
    """Send the head of an upload, and the beginning of its body."""
    connection = socket.create_connection(("127.0.0.1", server.settings.port), timeout=60)
    head = (
        "POST /v1/artifacts HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/octet-stream\r\n"
        f"Content-Length: {announced_bytes}\r\n\r\n"
    )
    connection.sendall(head.encode() + content)
    return connection


def answer_of(connection: socket.socket, ending: bytes) -> bytes:
    """Read until the answer ends with something; head and body may come one after the other."""
    answer = b""
    while not answer.endswith(ending):
        piece = connection.recv(4096)
        assert piece, answer
        answer += piece
    return answer


def large_content() -> Iterator[bytes]:
    """A safetensors file of zeros."""
    size = LARGE_BYTES - 1000
    entry = {"dtype": "F32", "shape": [size // 4], "data_offsets": [0, size]}
    header = json.dumps({"zeros": entry}).encode()
    yield struct.pack("<Q", len(header)) + header
    for _ in range(size // len(ZEROS)):
        yield ZEROS
    yield ZEROS[: size % len(ZEROS)]


def test_a_large_upload_takes_little_memory(server: ServerProcess) -> None:
    process = psutil.Process(server.process.pid)
    before = highest = process.memory_info().rss
    digest = hashlib.sha256()

    def watched() -> Iterator[bytes]:
        nonlocal highest
        for piece in large_content():
            highest = max(highest, process.memory_info().rss)
            digest.update(piece)
            yield piece

    headers = {"Content-Type": "application/octet-stream"}
    url = f"{server.settings.url}/v1/artifacts"
    answer = httpx2.post(url, content=watched(), headers=headers, timeout=120)
    assert answer.status_code == 201, answer.text
    assert answer.json()["sha256"] == digest.hexdigest()
    # The kernel keeps the highest there ever was, the check behind the last byte included.
    status = Path(f"/proc/{server.process.pid}/status").read_text(encoding="ascii")
    peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    assert max(highest, peak * 1024) - before < 100_000_000
    server.client.delete_artifact(answer.json()["id"])


def test_a_client_sends_a_file_once(server: ServerProcess, tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_file(WEIGHTS, path)
    document = server.client.upload(path)
    assert (document["name"], document["kind"]) == ("weights.safetensors", "safetensors")
    assert server.client.upload(path) == server.client.artifact(document["id"]) == document
    assert [item["id"] for item in server.client.artifacts()] == [document["id"]]
    server.client.delete_artifact(document["id"])
    with pytest.raises(ServiceError, match="there is no upload"):
        server.client.artifact(document["id"])


def test_two_gigabytes_claimed_are_refused_before_they_come(server: ServerProcess) -> None:
    with closing(begun(server, 2 << 30)) as connection:
        answer = answer_of(connection, b"}")
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"body_too_large" in answer
    assert files_in(server) == []


def test_a_client_that_breaks_off_leaves_nothing(server: ServerProcess) -> None:
    with closing(begun(server, 5_000_000, b"{" * 3_000_000)):
        wait_until(lambda: files_in(server), pause_seconds=0.05)
    wait_until(lambda: files_in(server) == [], pause_seconds=0.05)
    assert server.client.is_ready()


def test_a_body_that_is_longer_than_announced_is_cut_at_what_was_announced(
    server: ServerProcess,
) -> None:
    with closing(begun(server, 10, b"{" * 1000)) as connection:
        assert answer_of(connection, b"}").startswith(b"HTTP/1.1 422")
    assert files_in(server) == []
    assert server.client.is_ready()


def test_a_server_killed_during_an_upload_leaves_no_artifact(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "data") as first:
        connection = begun(first, 5_000_000, b"{" * 3_000_000)
        wait_until(lambda: files_in(first), pause_seconds=0.05)
        first.end(signal.SIGKILL)
        connection.close()
        assert files_in(first) != []
    with ServerProcess(tmp_path / "data") as second:
        assert files_in(second) == []
        assert list(second.client.artifacts()) == []
        save_file(WEIGHTS, tmp_path / "w")
        assert second.client.upload(tmp_path / "w")["n_tensors"] == 2
