"""Published measurements of other systems that the cost model and planner must reproduce, with their sources.

Facts are what a source measured of the parts; the tests may fit what each case says and nothing else.
"""

from __future__ import annotations

from typing import NamedTuple


class Headline(NamedTuple):
    """arXiv 2511.20426, abstract and project page: five H100. Fitted: what a joint tick costs on top, and how much
    each of its passes is stretched; the two numbers are shared by both models.
    """

    model: str
    pass_ms: float  # 12 frames a block / sequential fps / 5 passes
    fps_sequential: float
    fps_cascade: float


HEADLINES = (
    Headline("self-forcing-1.3b", 150.0, 16.0, 30.0),
    Headline("krea-realtime-14b", 1000 * 12 / 4.5 / 5, 4.5, 12.5),
)

# arXiv 2512.04677, table 5: LiveAvatar, 14B, same level, one H800 a step and one for the VAE, 45.2 fps with 12 frames a
# block; seconds to the first frame by denoise steps. Fitted: one constant for VAE and hops, on the first row.
LIVEAVATAR_FPS = 45.2
LIVEAVATAR_TTFF_S = {2: 0.68, 3: 0.95, 4: 1.21}
LIVEAVATAR_TOLERANCE = 0.02


class WaveRT(NamedTuple):
    """SJTU-DENG-Lab/WaveForcing, results table: 1.3B, bf16, 8x H200: 5 ranks for 4 steps and the clean pass, 3 VAE
    stages; 133 blocks of 12 frames. Nothing is fitted. The paged tick's mean is not given: it is taken to stand to its
    median as the synchronous one's does.
    """

    name: str
    mean_tick_ms: float
    dit_fps: float
    e2e_fps: float


WAVERT = (
    WaveRT("causal_sync", 150.6, 77.3, 76.7),
    WaveRT("paged", 139.1 * 150.6 / 153.4, 85.6, 84.9),
)
WAVERT_STAGES_MS = (95, 99, 96)
WAVERT_BLOCKS = 133
WAVERT_TOLERANCE = {"dit_fps": 0.01, "e2e_fps": 0.05}

# NVIDIA/flashdreams, PERFORMANCE.md: Self-Forcing 1.3B at 480x832 on A100, milliseconds by context blocks. Fitted: the
# clean pass at 0 and at 6 context blocks.
FLASHDREAMS_CLEAN_MS = (98.8, 124.6, 150.9, 176.6, 205.0, 228.1, 254.3)
FLASHDREAMS_FOUR_STEPS_MS = {2: 642.7, 3: 748.5, 4: 851.9, 5: 954.9, 6: 1057.5}
FLASHDREAMS_DECODE_MS = 13.5
FLASHDREAMS_TOLERANCE = 0.10
