"""What the device at hand compiles."""

from typing import Literal

import jax

Kernel = Literal["triton", "mosaic"]
"""What compiles Pallas kernels: for NVIDIA GPUs, and for TPUs."""


def compute_capability() -> float:
    """Return the NVIDIA GPU's generation, as in 8.0 for Ampere; 0 where there is none."""
    device = jax.devices()[0]
    is_nvidia = "NVIDIA" in device.device_kind
    return float(getattr(device, "compute_capability", 0)) if is_nvidia else 0.0


def kernel_compiler() -> Kernel | None:
    """Return what compiles Pallas kernels here; None where nothing does."""
    if jax.default_backend() == "tpu":
        return "mosaic"
    return "triton" if compute_capability() >= 8 else None
