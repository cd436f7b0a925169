"""Calls of functions that are made anew each time, whose compiled programs are freed with them."""

import functools
from collections.abc import Callable
from typing import Any

import jax
from jax.core import eval_jaxpr


def prepare_freed(fn: Callable[..., Any], *args: Any) -> Callable[..., Any]:
    """Return a function of arrays as a compiled one, whose program is freed with it.

    Outside of `jit` JAX compiles each loop by itself and keeps the program of the loop's body,
    megabytes that no later call finds again if the body is a new function each time. A program of
    `jit` is freed with its function.

    Args:
        fn: The function.
        *args: Arguments of the shapes that it will be called with, pytrees of arrays.

    Returns:
        The same function for such arguments.
    """
    trees = []

    def flat(*args: Any) -> list[Any]:
        leaves, tree = jax.tree.flatten(fn(*args))
        trees.append(tree)
        return leaves

    jaxpr = jax.make_jaxpr(flat)(*args)
    # Arrays that the function closes over are arguments here, so that the program holds no copies.
    run = jax.jit(functools.partial(eval_jaxpr, jaxpr.jaxpr), inline=True)

    def call(*args: Any) -> Any:
        return jax.tree.unflatten(trees[-1], run(jaxpr.consts, *jax.tree.leaves(args)))

    return call


def run_freed(fn: Callable[..., Any], *args: Any) -> Any:
    """Call a function of arrays, compiled, and let go of its program when the call is over.

    Args:
        fn: The function, which contains loops.
        *args: Its arguments, pytrees of arrays.

    Returns:
        What the function returns.
    """
    return prepare_freed(fn, *args)(*args)


def map_freed(fn: Callable[[Any], Any], xs: Any) -> Any:
    """Map a function over the first axis, as `lax.map` does, and free the program after the call.

    Args:
        fn: The function.
        xs: A pytree of arrays.

    Returns:
        Its results, stacked.
    """
    return run_freed(functools.partial(jax.lax.map, fn), xs)
