"""diffusers' attention backends by name: which can be used here, told before a run starts.

'native' is torch's own, which takes FlashAttention on CUDA by itself. 'flash', '_flash_3', 'sage' and 'xformers' need
their packages. Those that fetch a compiled kernel from a hub while they run (`*_hub`) are refused.

Shape suffixes: B passes, n queries, M keys, H heads, E head dim.
"""

from __future__ import annotations

import torch
from diffusers.models.attention_dispatch import AttentionBackendName, attention_backend

from models.errors import ModelError
from models.layer import attend

NATIVE = "native"
OR_NATIVE = f"; or take {NATIVE!r}, which needs nothing and uses FlashAttention on CUDA"
FETCHES = "_hub"
QUERIES, KEYS = 16, 48  # of the trial; a pass has more keys than queries
TOLERANCE = 0.05  # kernels that quantise are off by a little


def backend_named(name: str) -> AttentionBackendName:
    """The backend of a name. Raises ModelError if there is none, or what it needs is not installed."""
    try:
        backend = AttentionBackendName(name)
    except ValueError:
        known = ", ".join(known.value for known in AttentionBackendName if not known.value.endswith(FETCHES))
        raise ModelError(f"attention {name!r} is none of diffusers' backends: {known}") from None
    if name.endswith(FETCHES):
        raise ModelError(
            f"attention {name!r} downloads code when it runs, which nothing here does: install the package and name "
            f"the backend without {FETCHES!r}{OR_NATIVE}"
        )
    try:
        with attention_backend(backend):
            return backend
    except RuntimeError as error:
        raise ModelError(f"attention {name!r}: {str(error).rstrip('.')}{OR_NATIVE}") from None


@torch.no_grad()
def require_attention(backend: AttentionBackendName, heads: int, head_dim: int, like: torch.Tensor) -> None:
    """Tries a backend once, on the device and in the type of `like`. Raises ModelError if it does not run there."""
    query_BnHE = torch.ones(1, QUERIES, heads, head_dim, device=like.device, dtype=like.dtype)
    key_BMHE = torch.ones(1, KEYS, heads, head_dim, device=like.device, dtype=like.dtype)
    told = f"attention {backend.value!r} does not run on {like.device.type} in {like.dtype} with heads of {head_dim}"
    try:
        mixed_BnHE = attend(query_BnHE, key_BMHE, key_BMHE, backend)
    except Exception as error:  # whatever a kernel of another's raises where it does not fit
        cause = (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelError(f"{told} ({cause}){OR_NATIVE}") from error
    # A mean of ones is one; a kernel built for other hardware may return anything.
    if mixed_BnHE.shape != query_BnHE.shape or (mixed_BnHE.float() - 1).abs().max().item() > TOLERANCE:
        raise ModelError(f"{told}: its results are wrong{OR_NATIVE}")
