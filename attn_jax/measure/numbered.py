"""Runs of a model with each of many edits of a hook point, in one batched program."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from attn_jax.hooks import Site, intervene
from attn_jax.hooks.hoist import map_hoisted
from attn_jax.hooks.plan import EditFunction


def map_edits(
    score: Callable[[Callable[..., Any]], Any],
    fn: Callable[..., Any],
    name: str,
    edit: Callable[..., EditFunction],
    counts: Sequence[int],
    *,
    steps: Int[np.ndarray, "s loops"],
    batch_size: int | None = None,
) -> Any:
    """Score a model under each of many edits of one hook point.

    What comes before the hook point is computed once for all of them, unless it is in the same
    scan: a scanned stack is run as a whole for each edit.

    Args:
        score: Returns what is to be known of the edited model: a pytree of arrays.
        fn: The model.
        name: The hook point, with `*` for the step of each scan around it.
        edit: Returns an edit, given its number along each axis of `counts`.
        counts: How many edits there are along each of their axes.
        steps: The steps of the scans around the hook point in which the edits are done, one after
            the other; one row, of no columns, if there is no scan.
        batch_size: How many edits are tried at once; if None, as many as half a gigabyte holds.

    Returns:
        The scores, with the axes `(s, *counts)` before their own.
    """
    axes = (len(steps), *counts)

    def run(number: Array) -> Any:
        step, *place = jnp.unravel_index(number, axes)
        return score(intervene(fn, _at(name, jnp.asarray(steps)[step], edit(*place))))

    scores = map_hoisted(run, jnp.arange(int(np.prod(axes))), batch_size=batch_size)
    return jax.tree.map(lambda x: x.reshape(*axes, *x.shape[1:]), scores)


def map_points(
    score: Callable[[Callable[..., Any]], Any],
    fn: Callable[..., Any],
    names: Sequence[str],
    edit: Callable[..., EditFunction],
    counts: Sequence[int],
    *,
    batch_size: int | None = None,
) -> Any:
    """Score a model under each of many edits of each of some hook points outside of scans.

    What comes before the first hook point is computed once for all. There is one program for all
    points, where :func:`map_edits` for each would compile what follows them again and again.

    Args:
        score: Returns what is to be known of the edited model: a pytree of arrays.
        fn: The model.
        names: The hook points, in the order of the program.
        edit: Returns an edit, given its number along each axis of `counts`.
        counts: How many edits there are along each of their axes.
        batch_size: How many edits are tried at once; if None, as many as half a gigabyte holds, but
            no more than those of one point.

    Returns:
        The scores, with the axes `(len(names), *counts)` before their own.
    """
    axes = (len(names), *counts)

    def run(number: Array) -> Any:
        point, *place = jnp.unravel_index(number, axes)
        edits = {name: _if(point == i, edit(*place)) for i, name in enumerate(names)}
        return score(intervene(fn, edits))

    limit = int(np.prod(counts))
    numbers = jnp.arange(len(names) * limit)
    scores = map_hoisted(run, numbers, batch_size=batch_size, limit=limit)
    return jax.tree.map(lambda x: x.reshape(*axes, *x.shape[1:]), scores)


def _if(is_chosen: Array, edit: EditFunction) -> EditFunction:
    return lambda value, site: jnp.where(is_chosen, edit(value, site), value)


def all_steps(lengths: Sequence[int]) -> Int[np.ndarray, "s loops"]:
    """Return every step of some loops of these lengths, the last loop turning fastest."""
    return np.array(list(np.ndindex(*lengths)), int).reshape(-1 if lengths else 1, len(lengths))


def _at(name: str, steps: Array, edit: EditFunction) -> dict[str, EditFunction]:
    """Return the edits that do one in one step of the scans around a hook point."""

    def edit_step(value: Array, site: Site) -> Array:
        # As a pattern, the name of a scanned hook point may match others.
        if site.point.name != name:
            return value
        new = edit(value, site)
        pairs = zip(site.index, site.point.loops, strict=True)
        scans = [step for step, loop in pairs if loop.kind == "scan"]
        for step, chosen in zip(scans, steps, strict=True):
            new = jnp.where(step == chosen, new, value)
        return new

    return {name: edit_step}
