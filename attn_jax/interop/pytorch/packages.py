"""PyTorch, torchax and transformers, imported when a model is opened."""

import contextlib
import functools
import importlib
import os
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax

from attn_jax.interop.patching import patched

# torchax 0.0.13 mentions overloads with named dimensions, which PyTorch 2.13 no longer has.
_REMOVED = re.compile("dimname|names", re.IGNORECASE)
_OPTIONS = "jax_pjrt_client_create_options"
_TELEMETRY = "ENABLE_RUNTIME_UPTIME_TELEMETRY"


class Packages(NamedTuple):
    """The packages that the bridge stands on."""

    torch: Any
    torchax: Any
    transformers: Any
    masking: Any


@functools.cache
def packages() -> Packages:
    """Import the packages of the extra `torch`.

    Raises:
        ImportError: If one of them is missing, with the line that installs them.
    """
    try:
        torch = importlib.import_module("torch")
        with patched({(torch._ops.OpOverloadPacket, "__getattr__"): _lenient}), _settings(torch):
            torchax = importlib.import_module("torchax")
            importlib.import_module("torchax.ops.jaten")
            importlib.import_module("torchax.decompositions")
        transformers = importlib.import_module("transformers")
        masking = importlib.import_module("transformers.masking_utils")
    except ModuleNotFoundError as error:
        raise ImportError(
            f"opening a model of PyTorch needs the package {error.name}: "
            "pip install 'attn-jax[torch]'."
        ) from error
    return Packages(torch, torchax, transformers, masking)


def _lenient(getter: Callable[[Any, str], Any]) -> Callable[[Any, str], Any]:
    """Return a `__getattr__` that has a placeholder for an overload that was removed."""

    def get(self, name):
        try:
            return getter(self, name)
        except AttributeError:
            if not _REMOVED.search(name):
                raise
            return f"{self}.{name}"

    return get


@contextlib.contextmanager
def _settings(torch: Any) -> Iterator[None]:
    """Undo what importing torchax sets for the whole process."""
    fast = torch.backends.mha.get_fastpath_enabled()
    options = getattr(jax.config, _OPTIONS, None)
    telemetry = os.environ.get(_TELEMETRY)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        if hasattr(jax.config, _OPTIONS):
            jax.config.update(_OPTIONS, options)
        if telemetry is None:
            os.environ.pop(_TELEMETRY, None)
