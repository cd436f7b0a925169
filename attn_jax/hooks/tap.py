"""The tap: an identity with a name, under every transformation of JAX."""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import jax.numpy as jnp
from jax import Array
from jax.extend import core
from jax.interpreters import ad, batching, mlir
from jax.typing import ArrayLike

from attn_jax.hooks.errors import HookError

tap_p = core.Primitive("tap")

# A name may hold dots, but nothing that a pattern, a repeat or an untaken branch is written with.
RESERVED = frozenset("*?[]#")


@runtime_checkable
class DerivedTap(Protocol):
    """What a fused call knows about the values that it never computes.

    A tap may carry *operands*: named arrays from which hidden values follow. An implementation
    says which these values are and how they follow, so that they are hook points too, computed
    only when somebody asks. It must be hashable and comparable, as it is a static parameter.

    Attributes:
        leaves: names of the hook points, upstream first; the last is the tapped value itself.
    """

    @property
    def leaves(self) -> tuple[str, ...]:
        """The names of the hook points, upstream first."""
        ...

    @property
    def observations(self) -> tuple[str, ...]:
        """Those of the leaves that nothing depends on: read, if named, and never edited."""
        ...

    def derive(self, leaf: str, operands: Mapping[str, Array]) -> Array:
        """Return the value of a leaf, from what is nearest upstream of it among the operands."""
        ...

    def rewrite(self, leaf: str, edited: Array, operands: Mapping[str, Array]) -> dict[str, Array]:
        """Return operands that hold the edited leaf, and nothing that depended on the old one."""
        ...

    def rows(self, operands: Mapping[str, Array], start: ArrayLike, size: int) -> dict[str, Array]:
        """Return the operands of `size` queries from `start` on, so a map can go by rows."""
        ...


def tap(name: str, value: ArrayLike) -> Array:
    """Name a value, so that :func:`capture` and :func:`intervene` can find it.

    The tap is an identity that leaves no trace in the compiled program. Its full name is the
    path of the named scopes around it (Linen modules are such scopes) and `name`. Use what it
    returns: a tap whose result is discarded is removed as dead code under `grad`.

    Args:
        name: the last part of the hook point's name. It may hold dots, but none of `*?[]#`.
        value: any array.

    Returns:
        The same value.

    Raises:
        HookError: if the name is empty or holds a reserved character.

    Example:
        >>> import jax.numpy as jnp
        >>> def layer(x):
        ...     hidden = tap("hidden", jnp.tanh(x))
        ...     return 2 * hidden
        >>> layer(jnp.zeros(3))
        Array([0., 0., 0.], dtype=float32)
    """
    _check_name(name)
    return tap_p.bind(jnp.asarray(value), name=name, site=None, operands=())


def tap_derived(site: DerivedTap, value: ArrayLike, operands: Mapping[str, Array]) -> Array:
    """Tap a value together with the operands from which `site` derives hidden ones.

    Args:
        site: says which hook points there are, and how they follow from the operands.
        value: the value of the last leaf.
        operands: named arrays. Under `vmap` each of them gets the batch axis in front, so their
            axes must broadcast against each other at equal rank.

    Returns:
        The same value.
    """
    for leaf in site.leaves:
        _check_name(leaf)
    return tap_p.bind(
        jnp.asarray(value),
        *operands.values(),
        name=site.leaves[-1],
        site=site,
        operands=tuple(operands),
    )


def _check_name(name: str) -> None:
    if not name or RESERVED.intersection(name):
        raise HookError(
            f"{name!r} cannot name a hook point; a name is not empty and holds none of *?[]#."
        )


def _identity(value, *_operands, **_params):
    return value


def _jvp(primals, tangents, **params):
    return tap_p.bind(*primals, **params), tangents[0]


def _batch(args, dims, **params):
    """Put every batch axis in front, so that the layout of a captured value is defined."""
    size = next(a.shape[d] for a, d in zip(args, dims, strict=True) if d is not None)
    moved = [
        jnp.broadcast_to(a, (size, *a.shape)) if d is None else jnp.moveaxis(a, d, 0)
        for a, d in zip(args, dims, strict=True)
    ]
    return tap_p.bind(*moved, **params), 0


tap_p.def_impl(_identity)
tap_p.def_abstract_eval(_identity)
ad.primitive_jvps[tap_p] = _jvp
batching.primitive_batchers[tap_p] = _batch
mlir.register_lowering(tap_p, lambda _ctx, value, *_operands, **_params: [value])
