"""The compiled kernels that `attn_jax.ops.attention` uses on CPUs, if they are installed."""

import ctypes
import sys
from pathlib import Path

import jax

INTERFACE = 2
"""The number of the handlers' signatures; `attn_jax` uses only those that it knows."""

_NAME = "attn_jax_cpu.dll" if sys.platform == "win32" else "attn_jax_cpu.so"


def _load(path: Path) -> ctypes.CDLL:
    with path.open("rb") as file:
        head = file.read(64)
    # A process dies of a library that was cut short. Linux's end with a table, named in their head.
    place, size, count = (
        int.from_bytes(head[a:b], "little") for a, b in ((40, 48), (58, 60), (60, 62))
    )
    if head.startswith(b"\x7fELF") and path.stat().st_size < place + size * count:
        raise OSError(f"{path} was cut short")
    return ctypes.CDLL(str(path))


_library = _load(Path(__file__).parent / _NAME)
_library.attn_jax_isa.restype = ctypes.c_char_p


def handlers() -> dict[str, object]:
    """Return the handlers by their names, as `jax.ffi.register_ffi_target` takes them."""
    names = "attn_jax_forward", "attn_jax_sums", "attn_jax_backward"
    return {name: jax.ffi.pycapsule(getattr(_library, name)) for name in names}


def isa() -> str:
    """Return the instruction set of the kernels: avx512, avx2, neon or generic.

    The environment variable `ATTN_JAX_CPU_ISA` may name one before the first call; one that the
    processor lacks is ignored.
    """
    return _library.attn_jax_isa().decode()
