"""Attribute paths as names, for libraries whose modules push no named scopes."""

import contextlib
import functools
import itertools
from collections.abc import Callable
from typing import Any

import jax

from attn_jax.interop.frameworks import framework_of
from attn_jax.interop.patching import patched
from attn_jax.interop.scopes import ModuleScopes, active

# `jax.jit` keeps a function that it has already traced. Under a context of their own, traces with
# names and traces without are kept apart. Old releases of jax have no such contexts.
_trace_context: Callable[[Any], contextlib.AbstractContextManager]
_trace_context = getattr(jax, "make_user_context", lambda: contextlib.nullcontext)()
_tokens = itertools.count(1)


def named(fn: Callable[..., Any], model: Any) -> Callable[..., Any]:
    """Return `fn` with each module of `model` in a named scope: its attribute path.

    Equinox and NNX push no named scopes, so hook points in their models are `weights`,
    `weights#1` and so on. Under `named` they are `blocks.0.attn.weights`,
    `blocks.1.attn.weights`: the attributes and indices that lead to the module. Keras pushes
    names with counters that differ from one process to the next, and penzai pushes numbers only;
    both get attribute paths too. Linen and haiku push good names themselves, so their functions
    are returned with nothing added.

    The model may be closed over by `fn`, may be an argument of it, or may be put together inside
    it (`nnx.merge`, `eqx.combine`). A module that is rebuilt on the way through a transformation
    is recognized by its place in its parent, or by its class and the classes of its submodules.
    Where several modules fit, as when the layers of a list go one by one through one function
    under `nnx.remat`, the name stops at the list.

    The classes of the modules are wrapped only while `fn` runs, which under `jax.jit` and the
    transformations of :mod:`attn_jax.hooks` means while it is traced. Other threads do not notice.

    Args:
        fn: A function that calls modules of the model.
        model: An NNX, Equinox, Keras or penzai model, or a list, tuple or dictionary of them. Its
            arrays are not used.

    Returns:
        A function with the arguments and the result of `fn`.

    Raises:
        TypeError: If the model is of none of these libraries.

    Example:
        >>> import equinox as eqx
        >>> from attn_jax.hooks import hook_points, tap
        >>> class Layer(eqx.Module):
        ...     def __call__(self, x):
        ...         return tap("hidden", jnp.tanh(x))
        >>> class Model(eqx.Module):
        ...     layers: list
        ...     def __call__(self, x):
        ...         for layer in self.layers:
        ...             x = layer(x)
        ...         return x
        >>> model = Model([Layer(), Layer()])
        >>> [point.name for point in hook_points(named(model, model))(jnp.zeros(3))]
        ['layers.0.hidden', 'layers.1.hidden']
    """
    framework = framework_of(model)
    if framework is None:
        return fn
    token = next(_tokens)

    def with_names(*args, **kwargs):
        scopes = ModuleScopes(framework, model)
        with patched(framework.patches(model)), active(scopes), _trace_context(token):
            scopes.recognize_all((args, kwargs))
            return fn(*args, **kwargs)

    # A module may be the function itself; its fields are not to be copied.
    return functools.update_wrapper(with_names, fn, updated=())
