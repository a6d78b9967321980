"""Settings of the service, read from the environment: the only place that does so.

Knows nothing about searches; a search is its spec, seed, plan and ledger, and no setting changes its result.
"""

from __future__ import annotations

import ipaddress
import os
import re
import sys
from pathlib import Path
from typing import Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from models.inputs import InputFolder
from models.process_environment import PATIENT_THREADS, computing_environment
from models.surroundings import Surroundings
from models.uploads import UploadFolder

ENVIRONMENT_PREFIX = "TRANSFERMASK_"
FACTORY_PATTERN = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:([^\W\d]\w*|\*)")


class Settings(BaseSettings):
    """Where the service listens, where its data lie, and how patient it is with its workers."""

    model_config = SettingsConfigDict(env_prefix=ENVIRONMENT_PREFIX, frozen=True, extra="forbid")

    data_dir: Path = Field(
        Path("transfermask-data"), description="database, job folders and users' inputs"
    )
    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8000, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    allow_insecure_host: bool = Field(
        False,
        description="listen on an address that others can reach, although no keys are asked for",
    )
    database_url: str | None = Field(
        None, description="SQLAlchemy URL; without one, an SQLite file in the data directory"
    )
    max_concurrent_jobs: int = Field(1, ge=1, description="searches that run side by side")
    lease_seconds: float = Field(
        10.0, gt=0, description="a job without a heartbeat is free after this"
    )
    heartbeat_seconds: float = Field(
        2.0, gt=0, le=2.5, description="time between heartbeats, at which a cancel is seen too"
    )
    poll_seconds: float = Field(0.25, gt=0, description="time between looks at the queue")
    kill_grace_seconds: float = Field(2.0, ge=0, le=4, description="from SIGTERM to SIGKILL")
    max_body_bytes: int = Field(
        1_048_576, ge=1, description="largest request body, apart from uploads"
    )
    max_artifact_bytes: int = Field(
        4 * 2**30, ge=1, description="largest upload, and largest sum of its arrays unpacked"
    )
    max_artifact_store_bytes: int = Field(
        32 * 2**30, ge=1, description="all uploads together, those still arriving included"
    )
    allow_downloads: bool = Field(
        False, description="specs may name models that are fetched from the Hugging Face hub"
    )
    allowed_factories: str = Field(
        "",
        description="functions that specs may have called to build a network, comma separated: "
        "package.module:function, or package.module:* for all of a module",
    )

    @model_validator(mode="after")
    def _heartbeats_fit_the_lease(self) -> Self:
        if self.heartbeat_seconds * 2 > self.lease_seconds:
            raise ValueError(
                f"heartbeat_seconds ({self.heartbeat_seconds}) must be at most half of lease_seconds "
                f"({self.lease_seconds}), so that one late heartbeat does not lose the job"
            )
        return self

    @field_validator("allowed_factories")
    @classmethod
    def _factories_have_names(cls, value: str) -> str:
        for name in _items(value):
            if not FACTORY_PATTERN.fullmatch(name):
                raise ValueError(
                    f"{name!r} is no package.module:function, and no package.module:* either"
                )
        return value

    @model_validator(mode="after")
    def _strangers_cannot_reach_it(self) -> Self:
        if not self.allow_insecure_host and not _is_loopback(self.host):
            raise ValueError(
                f"host {self.host!r} can be reached from other machines and the service asks for no keys; "
                f"use 127.0.0.1, or set {ENVIRONMENT_PREFIX}ALLOW_INSECURE_HOST=true where something else "
                "(a container's port mapping, a proxy with authentication) keeps strangers out"
            )
        return self

    @property
    def url(self) -> str:
        """Where a client on this machine finds the service."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    @property
    def sqlalchemy_url(self) -> str:
        """The database's URL, the default filled in."""
        return self.database_url or f"sqlite:///{self.data_dir.absolute() / 'transfermask.sqlite'}"

    @property
    def inputs_dir(self) -> Path:
        """The folder that file paths in specs are relative to; users put their files there."""
        return self.data_dir / "inputs"

    @property
    def cache_dir(self) -> Path:
        """The folder of prepared data, kept by content; may be emptied while nothing runs."""
        return self.data_dir / "cache"

    @property
    def uploads_dir(self) -> Path:
        """The folder of what users uploaded, named by content; workers of one database share it."""
        return self.data_dir / "uploads"

    @property
    def surroundings(self) -> Surroundings:
        """What specs may reach outside of themselves."""
        return Surroundings(
            InputFolder(self.inputs_dir),
            self.cache_dir,
            UploadFolder(self.uploads_dir),
            may_download=self.allow_downloads,
            factories=_items(self.allowed_factories),
        )

    @property
    def jobs_dir(self) -> Path:
        """The folder of all jobs' folders."""
        return self.data_dir / "jobs"

    def job_dir(self, job_id: str) -> Path:
        """The folder of one job's log and artifacts."""
        return self.jobs_dir / job_id

    def create_folders(self) -> None:
        """Create the data directory and its folders where they are missing."""
        self.inputs_dir.mkdir(parents=True, exist_ok=True)
        self.jobs_dir.mkdir(parents=True, exist_ok=True)

    def child_environment(self) -> dict[str, str]:
        """Give the environment for a child process that computes, in which ``Settings()`` equals this object."""
        inherited = computing_environment(
            {
                name: value
                for name, value in os.environ.items()
                if not name.upper().startswith(ENVIRONMENT_PREFIX)
            }
        )
        own = self.model_copy(update={"data_dir": self.data_dir.absolute()})
        fields = own.model_dump(mode="json", exclude_none=True)
        return inherited | {
            f"{ENVIRONMENT_PREFIX}{name.upper()}": str(value) for name, value in fields.items()
        }


def make_threads_patient() -> None:
    """Do for this process what ``child_environment`` does for a child's threads; before torch is loaded, or in vain.

    What else a child gets is read before a process's first line runs: for that, ``restart_to_compute``.
    """
    for name, value in PATIENT_THREADS.items():
        os.environ.setdefault(name, value)


def restart_to_compute() -> None:
    """Begin this very command again in the environment that a child which computes would get, unless it has it."""
    environment = computing_environment(os.environ)
    if environment != dict(os.environ):
        sys.stdout.flush()
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)


def _items(text: str) -> tuple[str, ...]:
    return tuple(item for item in (part.strip() for part in text.split(",")) if item)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
