"""Which device evaluations run on."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import torch


def pick_device() -> torch.device:
    """Give the first CUDA device if there is one, else the CPU."""
    return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")


def may_have_gpu() -> bool:
    """Whether there might be a GPU for this torch, told without touching it: for processes that must not."""
    nodes = ("/dev/nvidia0", "/dev/nvidiactl", "/dev/dxg", "/dev/kfd")
    return torch.backends.cuda.is_built() and any(Path(node).exists() for node in nodes)


def describe_device(device: torch.device) -> str:
    """Name the chip, for provenance."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def processor_features() -> frozenset[str]:
    """Names of the processor's instruction sets as Linux gives them; none elsewhere."""
    return frozenset((_cpuinfo("flags") or _cpuinfo("Features")).split())


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cpuinfo(field: str) -> str:
    """A field of the first processor in Linux's list; empty where there is none."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    found = (value for name, _, value in (x.partition(":") for x in lines) if name.strip() == field)
    return next(found, "").strip()
