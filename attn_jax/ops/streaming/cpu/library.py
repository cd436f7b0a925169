"""Whether the compiled kernels of `attn-jax-cpu` can be used: here, and for a call."""

import functools
import importlib.util
import warnings

import jax

from attn_jax.ops.devices import is_divided
from attn_jax.ops.reference.operands import Call
from attn_jax.ops.streaming.summary import Summary

INSTALL = "pip install 'attn-jax[cpu]', or `make setup` in a clone with a C++ compiler,"
_INTERFACE = 2
# To keep a score takes time for each that is kept; XLA sorts instead.
_MAX_TOP_K = 64


@functools.cache
def missing() -> str | None:
    """Return why there are no kernels; None if there are, and XLA knows them.

    A package that is installed and does not work is warned of once.
    """
    if importlib.util.find_spec("attn_jax_cpu") is None:
        return f"attn-jax-cpu is not installed; {INSTALL} installs it."
    try:
        _register()
    except Exception as error:  # a library that is broken, or built for another processor or jaxlib
        reason = (
            f"attn-jax-cpu cannot be used here ({error}); {INSTALL} builds it anew. Attention is "
            "computed without it, to the same result."
        )
        warnings.warn(reason, RuntimeWarning, stacklevel=2)
        return reason
    return None


def _register() -> None:
    import attn_jax_cpu  # pyright: ignore[reportMissingImports]

    if attn_jax_cpu.INTERFACE != _INTERFACE:
        raise RuntimeError(
            f"it has interface {attn_jax_cpu.INTERFACE}, this attn-jax has {_INTERFACE}"
        )
    # Handlers that are newer than jaxlib, registered before there is a backend, take it down.
    jax.devices("cpu")
    for name, handler in attn_jax_cpu.handlers().items():
        jax.ffi.register_ffi_target(name, handler, platform="cpu")


def unsupported(call: Call, block_sizes: object, summary: Summary) -> str | None:
    """Return what the kernels cannot do of a call; None if they can do it all."""
    segments = [x for name, x in call.optional.items() if name.endswith("_segments")]
    reasons = {
        "block_sizes": block_sizes is not None,
        f"a summary with top_k above {_MAX_TOP_K}": summary.top_k > _MAX_TOP_K,
        "64-bit segment_ids": any(x.dtype.itemsize > 4 for x in segments),
    }
    return next((name for name, applies in reasons.items() if applies), None)


def serves(call: Call, block_sizes: object, summary: Summary) -> bool:
    """Whether `auto` may leave a call to the kernels.

    XLA cannot divide a call of foreign code among devices: on several, it would gather its arrays.
    Inside of `shard_map` they are divided already.
    """
    if jax.default_backend() != "cpu" or unsupported(call, block_sizes, summary):
        return False
    return (jax.device_count() == 1 or is_divided(call.query)) and missing() is None


def serves_part(call: Call, block_sizes: object, summary: Summary) -> bool:
    """Whether the kernels take a call that is known to be one device's part."""
    if jax.default_backend() != "cpu" or unsupported(call, block_sizes, summary):
        return False
    return missing() is None


def check(call: Call, block_sizes: object, summary: Summary) -> None:
    """Refuse a call that asks for the kernels by name and cannot have them.

    Raises:
        ImportError: If they are not installed, or do not work.
        ValueError: If they do not have an option, or there is another device.
    """
    backend = jax.default_backend()
    if backend != "cpu":
        raise ValueError(
            f"implementation='kernel' is for CPUs, and the default backend is {backend}; 'auto' "
            "takes what is fastest there."
        )
    if option := unsupported(call, block_sizes, summary):
        raise ValueError(
            f"implementation='kernel' does not have {option}; 'auto' computes such calls too."
        )
    if reason := missing():
        raise ImportError(f"implementation='kernel': {reason}")
