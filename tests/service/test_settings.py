"""Settings from the environment."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from service.settings import Settings


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("DATA_DIR", "HOST", "PORT", "ALLOW_INSECURE_HOST", "DATABASE_URL"):
        monkeypatch.delenv(f"TRANSFERMASK_{name}", raising=False)
    monkeypatch.chdir(tmp_path)


def test_by_default_nobody_else_reaches_the_service() -> None:
    assert Settings().url == "http://127.0.0.1:8000"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.7", "example.org"])
def test_an_open_address_is_refused_with_the_way_out(host: str) -> None:
    with pytest.raises(ValidationError, match="TRANSFERMASK_ALLOW_INSECURE_HOST=true"):
        Settings(host=host)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.8.8.8"])
def test_loopback_addresses_are_fine(host: str) -> None:
    assert Settings(host=host).host == host


def test_an_operator_may_open_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRANSFERMASK_HOST", "0.0.0.0")
    monkeypatch.setenv("TRANSFERMASK_ALLOW_INSECURE_HOST", "true")
    assert Settings().host == "0.0.0.0"


def test_heartbeats_that_could_lose_the_lease_are_refused_with_both_numbers() -> None:
    with pytest.raises(ValidationError, match=r"heartbeat_seconds \(2.0\).*lease_seconds \(3.0\)"):
        Settings(lease_seconds=3, heartbeat_seconds=2)


def test_the_child_sees_the_same_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TRANSFERMASK_PORT", "1234")
    settings = Settings(data_dir=Path("here"), port=4321, max_concurrent_jobs=3)
    environment = settings.child_environment()
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    seen = Settings()
    assert seen == settings.model_copy(update={"data_dir": tmp_path / "here"})
    assert seen.sqlalchemy_url == settings.sqlalchemy_url


def test_what_specs_may_reach_is_the_operator_s_choice(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    nothing = Settings(data_dir=tmp_path).surroundings
    assert (nothing.may_download, nothing.factories) == (False, ())
    monkeypatch.setenv("TRANSFERMASK_ALLOW_DOWNLOADS", "true")
    monkeypatch.setenv("TRANSFERMASK_ALLOWED_FACTORIES", "ours.nets:build, ours.more:*,")
    for name, value in Settings().child_environment().items():
        monkeypatch.setenv(name, value)
    seen = Settings().surroundings
    assert (seen.may_download, seen.factories) == (True, ("ours.nets:build", "ours.more:*"))


@pytest.mark.parametrize("names", ["ours.nets", "ours:build:more", "*:*", "../ours:build"])
def test_what_is_no_factory_is_refused_when_the_service_starts(names: str) -> None:
    with pytest.raises(ValidationError, match=r"no package.module:function"):
        Settings(allowed_factories=names)


def test_a_child_computes_in_the_environment_for_that_unless_the_operator_has_set_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.arena_max=1")
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    environment = Settings().child_environment()
    assert environment["GLIBC_TUNABLES"] == "glibc.malloc.arena_max=1"
    assert environment["GOMP_SPINCOUNT"] == "20000"
    monkeypatch.delenv("GLIBC_TUNABLES")
    assert "trim_threshold" in Settings().child_environment()["GLIBC_TUNABLES"]
