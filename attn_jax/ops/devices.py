"""The capabilities of the default device."""

from typing import Literal

import jax

Kernel = Literal["triton", "mosaic"]
"""The compilers of Pallas kernels: Triton for NVIDIA GPUs, Mosaic for TPUs."""


def compute_capability() -> float:
    """Return the compute capability of the NVIDIA GPU (8.0 is Ampere); 0 without one."""
    device = jax.devices()[0]
    is_nvidia = "NVIDIA" in device.device_kind
    return float(getattr(device, "compute_capability", 0)) if is_nvidia else 0.0


def kernel_compiler() -> Kernel | None:
    """Return the compiler of Pallas kernels for the default device; None if there is none."""
    if jax.default_backend() == "tpu":
        return "mosaic"
    return "triton" if compute_capability() >= 8 else None
