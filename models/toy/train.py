"""Makes the toy's weights from a seed: `python -m models.toy.train --work out/train`.

Interrupted, it goes on from its last checkpoint. On 2 CPU cores it takes under two hours; `weights/RECORD.md` says
how the shipped weights were made and what they score.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from models.checkpoint import save, wan_config
from models.toy import train_vae, train_wan
from models.toy.grammar import scenes
from models.toy.model import WEIGHTS


def main() -> None:
    """Trains the autoencoder, then the transformer, and writes both as float16."""
    parser = argparse.ArgumentParser(description="Train the toy model from a seed.")
    parser.add_argument("--work", type=Path, required=True, help="folder for checkpoints to go on from")
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="folder for the weights (default: the package's)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--compile", action="store_true", help="compile the layers; needs a C++ compiler")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    args.work.mkdir(parents=True, exist_ok=True)

    vae = train_vae.train_vae(args.work, args.seed)
    seen = [scene for scene in scenes() if not scene.held_out]
    latents_SCThw = train_wan.encode_streams(vae, seen)
    spread = {
        "latents_mean": [round(x, 4) for x in latents_SCThw.mean(dim=(0, 2, 3, 4)).tolist()],
        "latents_std": [round(x, 4) for x in latents_SCThw.std(dim=(0, 2, 3, 4)).tolist()],
    }
    save(vae, {**train_vae.CONFIG, **spread}, args.out / "vae", torch.float16)
    print("vae written", flush=True)

    mean, std = (torch.tensor(x).view(1, -1, 1, 1, 1) for x in spread.values())
    wan = train_wan.train_wan(args.work, (latents_SCThw - mean) / std, seen, args.seed, compiled=args.compile)
    save(wan, wan_config(train_wan.SPEC), args.out / "transformer", torch.float16)
    print("transformer written", flush=True)


if __name__ == "__main__":
    main()
