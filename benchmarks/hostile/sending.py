"""Ways to give something to a running service, and what it answers."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx2

from service.states import JobState
from tests.service.server_process import QUICK_SPEC, ServerProcess
from tests.service.waiting import wait_until

Changes = Mapping[str, Any]
Content = bytes | Callable[[], Iterator[bytes]]
PROBLEM_TYPE = "application/problem+json"
FAILED_SEARCH, BROKEN_OFF = "failed search", "broken off"
# A search of the quick spec that nothing stops takes some seconds.
MOST_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one input: an HTTP status or the end of a search, and the problem document, if there is one."""

    how: str
    document: Mapping[str, Any] = field(default_factory=dict)


class Sender:
    """Speaks to one service over HTTP, below the client that would complain itself."""

    def __init__(self, server: ServerProcess) -> None:
        """Bind a service that runs."""
        self._server = server
        self._http = httpx2.Client(base_url=server.settings.url, timeout=MOST_SECONDS)

    @property
    def inputs(self) -> Path:
        """The folder from which specs name files."""
        return self._server.settings.inputs_dir

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def is_healthy(self) -> bool:
        """Whether ``/healthz`` answers, from the process that was started."""
        try:
            answers = self._http.get("/healthz", timeout=10).status_code == HTTPStatus.OK
        except httpx2.HTTPError:
            return False
        return answers and self._server.process.poll() is None

    def leftovers(self) -> list[str]:
        """Uploads that are there, known to the service or not."""
        folder = self._server.settings.uploads_dir
        return [path.name for path in folder.glob("*") if path.name != ".lock"]

    def upload(
        self, content: Content, name: str = "", kind: str = "application/octet-stream"
    ) -> Answer:
        """Send a file; one whose pieces come one by one announces no length."""
        body = content if isinstance(content, bytes) else content()
        response = self._http.post(
            "/v1/artifacts", content=body, params={"name": name}, headers={"Content-Type": kind}
        )
        return _answer(response)

    def announce(self, n_bytes: int, content: bytes) -> Answer:
        """Announce an upload, send its beginning, and hang up."""
        head = (
            "POST /v1/artifacts HTTP/1.1\r\nHost: localhost\r\n"
            f"Content-Type: application/octet-stream\r\nContent-Length: {n_bytes}\r\n\r\n"
        )
        address = ("127.0.0.1", self._server.settings.port)
        with closing(socket.create_connection(address, timeout=30)) as connection:
            connection.sendall(head.encode() + content)
            wait_until(self.leftovers)
        wait_until(lambda: not self.leftovers())
        return Answer(BROKEN_OFF, {"detail": "nobody is there to be answered; no file is left"})

    def body(self, content: bytes) -> Answer:
        """Send bytes where a spec should be."""
        headers = {"Content-Type": "application/json"}
        return self._settled(self._http.post("/v1/searches", content=content, headers=headers))

    def search(self, changes: Changes) -> Answer:
        """Ask for a search; if it is taken, wait until it ends."""
        return self._settled(self._http.post("/v1/searches", json=_spec(changes)))

    def genes(self, changes: Changes) -> Answer:
        """Have a spec checked, and nothing run."""
        return _answer(self._http.post("/v1/genes", json=_spec(changes)))

    def _settled(self, response: httpx2.Response) -> Answer:
        if response.status_code != HTTPStatus.ACCEPTED:
            return _answer(response)
        search_id = response.json()["id"]
        deadline = time.monotonic() + MOST_SECONDS
        while time.monotonic() < deadline:
            found = self._server.client.get(search_id)
            if JobState(found["status"]).is_finished:
                return Answer(f"{found['status']} search", found["error"] or {})
            time.sleep(0.05)
        return Answer("search without an end")


def _spec(changes: Changes) -> dict[str, Any]:
    return {**QUICK_SPEC, "source": {"kind": "init"}, **changes}


def _answer(response: httpx2.Response) -> Answer:
    is_problem = response.headers.get("content-type") == PROBLEM_TYPE
    return Answer(str(response.status_code), response.json() if is_problem else {})
