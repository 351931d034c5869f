"""What this machine computes with: a device's name and the libraries' versions."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch


def device_name(device: torch.device) -> str:
    """What the maker calls the device: a GPU's name, or the processor's."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else _processor()


def software() -> str:
    """The versions of what a measurement depends on, in one line."""
    cuda = "" if torch.version.cuda is None else f"CUDA {torch.version.cuda}, "
    return (
        f"torch {torch.__version__}, {cuda}diffusers {version('diffusers')}, python {platform.python_version()}, "
        f"{platform.machine()}"
    )


def versions() -> dict[str, str]:
    """The versions of what decides a clip's bytes besides its inputs."""
    return {"blockcascade": _ours(), "diffusers": version("diffusers"), "torch": str(torch.__version__)}


def _ours() -> str:
    try:
        return version("blockcascade")
    except PackageNotFoundError:  # a checkout on the path that nobody has installed
        return "not installed"


def _processor() -> str:
    """From /proc/cpuinfo where there is one."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
