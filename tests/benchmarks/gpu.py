"""The GPU benchmark: `python -m tests.benchmarks.gpu [--output FILE] [--profiles FOLDER]`; in under ten minutes.

The shapes of a 1.3B and a 14B model with random weights in bfloat16 on the first CUDA device: passes by context, alone
and several at once, decodes, rates against a matrix product's, attention kernels, torch.compile, and whole plans.
Writes a Markdown table, and a profile of each model for the planner. Without a CUDA device it says so and ends well.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from rich.console import Console

from executor.measuring.machine import device_name
from models.catalog import load_spec
from models.spec import ModelSpec
from planner.cluster import DEVICES
from planner.shipped import FOLDER
from tests.benchmarks.gpu_model import MATMUL, Setting, matmul_tflops, model_section
from tests.benchmarks.record import Line, Run, Section, guarded, markdown, show

MODELS = ("self-forcing-1.3b", "krea-realtime-14b")
SECONDS = 540.0
TITLE = "GPU benchmark"
PACKAGES = ("torch", "diffusers", "triton", "flash-attn")
NO_DEVICE = "No CUDA device here (torch.cuda.is_available() is false): nothing measured, nothing written."


def kind_of(name: str) -> str | None:
    """The catalog's kind of a device, by the name that its maker gives it."""
    words = name.lower().replace("-", " ").split()
    return next((kind for kind in DEVICES if kind in words), None)


def sections(
    specs: Sequence[ModelSpec], setting: Setting, profiles: Path | None, console: Console, matmul: int = MATMUL
) -> list[Section]:
    """The device's own rate, then each model in an equal part of the time that is left to it and those after it."""
    ceiling = matmul_tflops(setting, matmul)
    line = Line(f"matrix product of {matmul} x {matmul}", "", f"{ceiling:.4g} TFLOP/s")
    found = [Section(f"{setting.kind}: {device_name(setting.device)}", [line])]
    show(found, console)
    for place, spec in enumerate(specs):
        share_s = setting.left_s / (len(specs) - place)
        part = setting._replace(deadline=time.monotonic() + share_s)
        found.append(guarded(spec.name, "measured", lambda s=spec, p=part: model_section(s, p, ceiling, profiles)))  # type: ignore[misc]
        show(found[-1:], console)
        # Before the next model is made: both might not fit.
        gc.collect()
        if setting.device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(setting.device)
    return found


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.gpu", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--output", type=Path, default=None, help="the Markdown table (default: out/gpu-KIND.md)")
    parser.add_argument("--profiles", type=Path, default=FOLDER, help=f"where profiles go (default {FOLDER})")
    parser.add_argument("--model", choices=MODELS, action="append", help="this model only")
    parser.add_argument("--kind", choices=DEVICES, help="the device's kind, where its name does not tell")
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"time to keep to (default {SECONDS:.0f})")
    options = parser.parse_args(arguments)
    console = Console()
    if not torch.cuda.is_available():
        console.print(NO_DEVICE)
        return 0
    device, begun = torch.device("cuda", 0), time.monotonic()
    kind = options.kind or kind_of(device_name(device))
    if kind is None:
        console.print(f"{device_name(device)} is none of {', '.join(DEVICES)}: name what comes nearest with --kind")
        return 2
    setting = Setting(device, kind, torch.bfloat16, begun + options.seconds)
    found = sections([load_spec(name) for name in options.model or MODELS], setting, options.profiles, console)
    command = " ".join(["python -m tests.benchmarks.gpu", *arguments])
    cuda = f"{device_name(device)}, CUDA {torch.version.cuda}"
    run = Run(TITLE, command, time.monotonic() - begun, 0.0, PACKAGES, machine=cuda)
    output = options.output or Path("out") / f"gpu-{kind}.md"
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(markdown(found, run))
    console.print(f"{output}: written; profiles in {options.profiles}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
