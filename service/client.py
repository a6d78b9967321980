"""A small client of the HTTP service.

Documents come back as the JSON they are; ``DESIGN.md`` and ``/docs`` of a running service describe them.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx2
from pydantic import ValidationError

from models.uploads import ID_PREFIX
from service.errors import ServiceError
from service.problem import Problem, problem
from service.states import JobState

Document = dict[str, Any]

UNREACHABLE = "unreachable"
PAGE_SIZE = 500
# An upload is answered when it has been checked.
CHECK_SECONDS = 600.0


class Client:
    """Speaks to one service.

    Every method raises ``ServiceError`` with the service's problem document when the service refuses, and with the
    code ``"unreachable"`` when it does not answer.
    """

    def __init__(self, base_url: str, timeout_seconds: float = 30.0) -> None:
        """Point at a service, ``http://127.0.0.1:8000`` say; nothing is sent yet."""
        self._http = httpx2.Client(base_url=base_url, timeout=timeout_seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def base_url(self) -> str:
        """Where the service is."""
        return str(self._http.base_url).rstrip("/")

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def submit(self, spec: Mapping[str, Any], idempotency_key: str | None = None) -> Document:
        """Queue a search; sent again with the same key, it gives the same search."""
        headers = {} if idempotency_key is None else {"Idempotency-Key": idempotency_key}
        return self._json("POST", "/v1/searches", json=dict(spec), headers=headers)

    def get(self, search_id: str) -> Document:
        """Read one search."""
        return self._json("GET", f"/v1/searches/{search_id}")

    def list(self, status: str | None = None) -> Iterator[Document]:
        """Iterate over all searches, newest first; pages are fetched as needed."""
        return self._pages("/v1/searches", {} if status is None else {"status": status})

    def cancel(self, search_id: str) -> Document:
        """Ask for the end of a search."""
        return self._json("POST", f"/v1/searches/{search_id}/cancel")

    def delete(self, search_id: str) -> None:
        """Delete a finished search with all that belongs to it."""
        self._send("DELETE", f"/v1/searches/{search_id}")

    def evaluations(self, search_id: str) -> Iterator[Document]:
        """Iterate over all that was measured, oldest first; pages are fetched as needed."""
        return self._pages(f"/v1/searches/{search_id}/evaluations", {})

    def result(self, search_id: str) -> Document:
        """Read the result of a search that has succeeded."""
        return self._json("GET", f"/v1/searches/{search_id}/result")

    def save_weights(self, search_id: str, path: Path, *, fine_tuned: bool = True) -> None:
        """Download the winner's weights (safetensors) into a file."""
        self._download(f"/v1/searches/{search_id}/result/weights", path, fine_tuned=fine_tuned)

    def save_model(self, search_id: str, path: Path) -> None:
        """Download the fine-tuned winner as a zip of the folder that its library loads, where it has one."""
        self._download(f"/v1/searches/{search_id}/result/model", path)

    def save_report(self, search_id: str, path: Path) -> None:
        """Download the report (HTML) into a file."""
        self._download(f"/v1/searches/{search_id}/result/report", path)

    def genes(self, spec: Mapping[str, Any]) -> Document:
        """Read the gene table of a spec; nothing is run."""
        return self._json("POST", "/v1/genes", json=dict(spec))

    def upload(self, path: Path) -> Document:
        """Send weights (safetensors) or arrays (npz); what is there already, by its content, is not sent again."""
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            try:
                return self.artifact(f"{ID_PREFIX}{digest}")
            except ServiceError as error:
                if error.problem.status != HTTPStatus.NOT_FOUND:
                    raise
            file.seek(0)
            return self._json(
                "POST",
                "/v1/artifacts",
                content=file,
                params={"name": path.name},
                headers={"Content-Type": "application/octet-stream"},
                timeout=CHECK_SECONDS,
            )

    def artifact(self, artifact_id: str) -> Document:
        """Read what is in an upload, and which searches need it."""
        return self._json("GET", f"/v1/artifacts/{artifact_id}")

    def artifacts(self) -> Iterator[Document]:
        """Iterate over all uploads, newest first; pages are fetched as needed."""
        return self._pages("/v1/artifacts", {})

    def delete_artifact(self, artifact_id: str) -> None:
        """Delete an upload that no stored search needs."""
        self._send("DELETE", f"/v1/artifacts/{artifact_id}")

    def plugins(self) -> Document:
        """Read every plug-in that a spec may name."""
        return self._json("GET", "/v1/plugins")

    def is_ready(self) -> bool:
        """Tell whether the service takes searches and works on them."""
        try:
            self._send("GET", "/readyz")
        except ServiceError:
            return False
        return True

    def wait(
        self,
        search_id: str,
        listener: Callable[[Document], None] | None = None,
        *,
        poll_seconds: float = 0.5,
        patience_seconds: float = 60.0,
    ) -> Document:
        """Poll a search until it has finished, and give it.

        Args:
            search_id: Which.
            listener: Called with the search after every poll.
            poll_seconds: Time between polls.
            patience_seconds: How long the service may be unreachable, because it is restarted, say.
        """
        last_answer = time.monotonic()
        while True:
            try:
                search = self.get(search_id)
            except ServiceError as error:
                is_patient = time.monotonic() - last_answer < patience_seconds
                if error.problem.code != UNREACHABLE or not is_patient:
                    raise
            else:
                last_answer = time.monotonic()
                if listener is not None:
                    listener(search)
                if JobState(search["status"]).is_finished:
                    return search
            time.sleep(poll_seconds)

    def _pages(self, path: str, parameters: Mapping[str, str]) -> Iterator[Document]:
        after: dict[str, str] = {}
        while True:
            query = {"limit": str(PAGE_SIZE), **parameters, **after}
            page = self._json("GET", path, params=query)
            yield from page["data"]
            if not page["has_more"]:
                return
            after = {"after": page["data"][-1]["id"]}

    def _json(self, method: str, path: str, **options: Any) -> Document:
        document: Document = self._send(method, path, **options).json()
        return document

    def _send(self, method: str, path: str, **options: Any) -> httpx2.Response:
        try:
            response = self._http.request(method, path, **options)
        except httpx2.TransportError as error:
            raise self._unreachable(error) from error
        _check(response)
        return response

    def _download(self, path: str, to: Path, **parameters: bool) -> None:
        try:
            with self._http.stream("GET", path, params=parameters) as response:
                if response.is_error:
                    response.read()
                _check(response)
                with to.open("wb") as file:
                    for piece in response.iter_bytes():
                        file.write(piece)
        except httpx2.TransportError as error:
            raise self._unreachable(error) from error

    def _unreachable(self, error: httpx2.TransportError) -> ServiceError:
        detail = f"no service answers at {self.base_url}: {error}; `transfermask serve` starts one"
        return ServiceError(problem(503, UNREACHABLE, detail))


def _check(response: httpx2.Response) -> None:
    """Raise what the service refused."""
    if response.is_success:
        return
    try:
        document = Problem.model_validate_json(response.content)
    except ValidationError:
        detail = f"status {response.status_code} without a problem document: {response.text[:200]}"
        document = problem(response.status_code, "unknown_answer", detail)
    raise ServiceError(document)
