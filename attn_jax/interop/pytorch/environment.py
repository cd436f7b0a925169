"""The environment of torchax in which a model runs on JAX arrays."""

from typing import Any

from attn_jax.interop.pytorch.packages import packages


class _Unnamed:
    """A function of PyTorch without its name, which torchax would push as a named scope."""

    def __init__(self, function: Any):
        self.function = function

    def name(self) -> str:
        """Return a name that leaves no trace in those of hook points."""
        return "."

    def __call__(self, *args, **kwargs):
        return self.function(*args, **kwargs)

    def __hash__(self):
        return hash(self.function)

    def __eq__(self, other):
        return self.function == getattr(other, "function", other)


def new_environment() -> Any:
    """Return an environment apart from torchax's own."""
    base = packages().torchax.tensor.Environment

    class Environment(base):
        def dispatch(self, func, types, args, kwargs):
            return super().dispatch(_Unnamed(func), types, args, kwargs)

        def _get_op_or_decomp(self, func):
            return super()._get_op_or_decomp(getattr(func, "function", func))

    return Environment()
