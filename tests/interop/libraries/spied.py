"""The truth for models that return no weights: what `jax.nn.softmax` gives in their own run."""

import itertools
from collections.abc import Callable, Sequence
from unittest import mock

import jax
import jax.numpy as jnp

from libraries.case import Case


def case(
    fn: Callable[..., jax.Array],
    run: Callable[[], jax.Array],
    args: tuple,
    names: Sequence[str],
    site: int,
    head_axis: int = -3,
) -> Case:
    """Build a case from a run of the model in which every softmax is watched.

    Args:
        fn: The model, a pure function of arrays.
        run: A call of the same model with its arguments, without `jax.jit`.
        args: The arguments of `fn`.
        names: The names that the attentions should have, in the order of the run.
        site: The number of the attention whose heads are scaled.
        head_axis: The axis of the heads in what softmax gives.
    """
    softmax = jax.nn.softmax

    def with_softmax(change):
        numbers = itertools.count()

        def changed(*args, **kwargs):
            return change(next(numbers), softmax(*args, **kwargs))

        with jax.disable_jit(), mock.patch("jax.nn.softmax", changed):
            return run()

    maps = []
    with_softmax(lambda number, weights: maps.append(weights) or weights)
    maps = [jnp.moveaxis(weights, head_axis, -3) for weights in maps]

    def scaled(scale):
        def change(number, weights):
            shape = [1] * weights.ndim
            shape[head_axis] = scale.size
            return weights * scale.reshape(shape) if number == site else weights

        return with_softmax(change)

    return Case(fn, args, dict(zip(names, maps, strict=True)), names[site], scaled)
