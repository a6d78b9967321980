"""The image and its compose files, as far as they can be read without a container engine."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("search", "models", "service", "transfermask")


def lines_of(name: str) -> list[str]:
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    return [line.rstrip() for line in lines if line.strip() and not line.lstrip().startswith("#")]


def text_of(name: str) -> str:
    return "\n".join(lines_of(name))


@pytest.mark.parametrize("name", [".dockerignore", ".gitignore"])
def test_no_ignore_file_swallows_a_package(name: str) -> None:
    swallowing = {
        f"{root}{package}{end}"
        for package in PACKAGES
        for root in ("", "/", "**/")
        for end in ("", "/", "/*", "/**")
    }
    assert swallowing.isdisjoint(lines_of(name))
    assert not any(
        line.startswith("*") and not line.startswith(("**/__pycache__", "*.", "**/*."))
        for line in lines_of(name)
    )


def test_the_image_holds_every_package_and_nothing_else() -> None:
    copied = re.findall(r"^COPY (\w+) \./\1$", text_of("Dockerfile"), re.MULTILINE)
    assert sorted(copied) == sorted(PACKAGES)


def test_the_image_runs_as_nobody_in_particular() -> None:
    text = text_of("Dockerfile")
    assert "USER 10001:10001" in text
    assert "chown 10001:10001 /data" in text
    assert "VOLUME /data" in text
    assert text.count("FROM python:3.11-slim-bookworm") == 2


def test_the_image_asks_itself_whether_it_is_ready() -> None:
    assert re.search(r"HEALTHCHECK .*\\\n\s+CMD \[.*urllib.*readyz", text_of("Dockerfile"))


def test_the_dockerfile_avoids_what_older_builders_do_not_know() -> None:
    text = text_of("Dockerfile")
    assert "<<" not in text
    assert "--mount" not in text
    assert "syntax=" not in text


def test_compose_opens_the_port_to_this_machine_only() -> None:
    assert re.findall(r'- "(.*:\d+:\d+)"', text_of("compose.yaml")) == ["127.0.0.1:8000:8000"]


def test_compose_lets_the_service_end_its_searches_in_peace() -> None:
    text = text_of("compose.yaml")
    assert "init: true" in text
    assert "stop_grace_period: 15s" in text
    assert "- transfermask-data:/data" in text


def test_the_gpu_is_an_override_with_the_capability_that_compose_demands() -> None:
    text = text_of("compose.gpu.yaml")
    path = ["services:", "transfermask:", "deploy:", "resources:", "reservations:", "devices:"]
    indented = [f"{'  ' * depth}{key}" for depth, key in enumerate(path)]
    assert text.startswith("\n".join(indented))
    assert "driver: nvidia" in text
    assert "count: 1" in text
    assert "capabilities: [gpu]" in text
    assert "nvidia" not in text_of("compose.yaml")
