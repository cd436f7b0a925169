"""The capabilities of the default device."""

from typing import Literal

import jax

Kernel = Literal["triton", "mosaic", "cpu"]
"""What compiles kernels: Triton for NVIDIA GPUs and Mosaic for TPUs, both from Pallas, and for CPUs
a C++ compiler, ahead of time (the package `attn-jax-cpu`)."""


def compute_capability() -> float:
    """Return the compute capability of the NVIDIA GPU (8.0 is Ampere); 0 without one."""
    device = jax.devices()[0]
    is_nvidia = "NVIDIA" in device.device_kind
    return float(getattr(device, "compute_capability", 0)) if is_nvidia else 0.0


def varying_axes(array: jax.Array) -> frozenset[str]:
    """Return the mesh axes of a `shard_map` over which an array differs; none outside of one."""
    kind = jax.typeof(array)
    # The first versions of JAX with varying axes know them by another name.
    manual = getattr(kind, "manual_axis_type", None)
    return frozenset((manual.varying if manual else getattr(kind, "vma", None)) or ())


def is_divided(array: jax.Array) -> bool:
    """Whether an array is one device's part, inside of a `shard_map`."""
    return bool(varying_axes(array))


def kernel_compiler() -> Kernel | None:
    """Return the compiler of Pallas kernels for the default device; None if there is none."""
    if jax.default_backend() == "tpu":
        return "mosaic"
    return "triton" if compute_capability() >= 8 else None
