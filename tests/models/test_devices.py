"""Tests of the device that evaluations run on."""

from __future__ import annotations

import torch

from models.devices import available_cores, describe_device, pick_device


def test_a_device_is_found_and_has_a_name() -> None:
    device = pick_device()
    assert torch.zeros(1, device=device).device.type == device.type
    assert describe_device(torch.device("cpu"))


def test_there_is_a_core() -> None:
    assert available_cores() >= 1
