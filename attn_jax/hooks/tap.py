"""The tap: an identity with a name, under every transformation of JAX."""

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol, runtime_checkable

import jax.numpy as jnp
from jax import Array, lax
from jax.extend import core
from jax.interpreters import ad, batching, mlir
from jax.typing import ArrayLike

from attn_jax.hooks.layout import Layout
from attn_jax.hooks.patterns import HookError
from attn_jax.renames import renamed_arguments

tap_p = core.Primitive("tap")

# A name may contain dots, but no character that marks a pattern, a repeat or an untaken branch.
RESERVED = frozenset("*?[]#")


@runtime_checkable
class DerivedTap(Protocol):
    """The formulas of a fused call for values that it never computes.

    A tap may carry *operands*: named arrays from which hidden values follow. An implementation
    says which values these are and how they follow, so that they too are hook points, computed
    only on request. It must be hashable and comparable, as it is a static parameter.

    If there are weights among them, it may also have a method `visible_pairs(operands)`, which
    returns True where a query may look and broadcasts to the weights: `Site.visible` calls it.

    Attributes:
        leaves: The names of the hook points, upstream first; the last is the tapped value itself.
    """

    @property
    def leaves(self) -> tuple[str, ...]:
        """The names of the hook points, upstream first."""
        ...

    @property
    def observations(self) -> tuple[str, ...]:
        """The leaves that nothing depends on: read, if named, and never edited."""
        ...

    def derive(self, leaf: str, operands: Mapping[str, Array]) -> Array:
        """Return the value of a leaf, computed from the nearest operands upstream of it."""
        ...

    def rewrite(self, leaf: str, edited: Array, operands: Mapping[str, Array]) -> dict[str, Array]:
        """Return operands with the edited leaf, and without those that depend on the old one."""
        ...

    def rows(self, operands: Mapping[str, Array], start: ArrayLike, size: int) -> dict[str, Array]:
        """Return the operands of `size` queries from `start`, so that a map can go row by row."""
        ...


@dataclasses.dataclass(frozen=True)
class MaskedTap:
    """A value that exists, with the mask that it was computed under (a `DerivedTap`).

    Attributes:
        name: The name of its only leaf.
    """

    name: str

    @property
    def leaves(self) -> tuple[str, ...]:
        """Return the name of the value."""
        return (self.name,)

    @property
    def observations(self) -> tuple[str, ...]:
        """Return no names: the value can be edited."""
        return ()

    def derive(self, leaf: str, operands: Mapping[str, Array]) -> Array:
        """Return the value."""
        return operands[leaf]

    def rewrite(self, leaf: str, edited: Array, operands: Mapping[str, Array]) -> dict[str, Array]:
        """Replace the value; the mask stays."""
        return {**operands, leaf: edited}

    def rows(self, operands: Mapping[str, Array], start: ArrayLike, size: int) -> dict[str, Array]:
        """Return the value for some queries."""
        return {self.name: lax.dynamic_slice_in_dim(operands[self.name], start, size, -2)}

    def visible_pairs(self, operands: Mapping[str, Array]) -> Array:
        """Return the mask."""
        return operands[_MASK]


_MASK = "visible"


def visible_pairs(derived: DerivedTap | None, operands: Mapping[str, Array]) -> Array | None:
    """Return where a query may look by the masks of a tap; None if it carries none.

    Args:
        derived: The formulas of the tap, or None.
        operands: Its operands.
    """
    pairs = getattr(derived, "visible_pairs", None)
    return None if pairs is None else pairs(operands)


def tap(name: str, value: ArrayLike, *, visible: ArrayLike | None = None) -> Array:
    """Name a value, so that :func:`capture` and :func:`intervene` can find it.

    The tap is an identity that leaves no trace in the compiled program. Its full name is the
    path of the named scopes around it (Linen modules are such scopes) and `name`. Use the value
    that it returns: a tap whose result is discarded is removed as dead code under `grad`.

    Args:
        name: The last part of the hook point's name. It may contain dots, but none of `*?[]#`.
        value: Any array.
        visible: For weights, the mask that they were computed under: True where a query may look.
            It broadcasts to the value, and is for edits to read (`site.visible()`), as those of
            :func:`attn_jax.measure.report_card` do. Without it a weight of zero may be either a
            hidden key or one of little use.

    Returns:
        The same value.

    Raises:
        HookError: If the name is empty or contains a reserved character, or `visible` does not
            broadcast to the value.

    Example:
        >>> import jax.numpy as jnp
        >>> def layer(x):
        ...     hidden = tap("hidden", jnp.tanh(x))
        ...     return 2 * hidden
        >>> layer(jnp.zeros(3))
        Array([0., 0., 0.], dtype=float32)
    """
    _check_name(name)
    if visible is None:
        return _bind(value, name)
    mask, shape = jnp.asarray(visible), jnp.shape(value)
    sizes = (1,) * (len(shape) - mask.ndim) + mask.shape
    if len(sizes) != len(shape) or any(a not in (1, b) for a, b in zip(sizes, shape, strict=True)):
        raise HookError(
            f"visible of shape {mask.shape} does not broadcast to {name!r} of shape {shape}; give "
            "it the axes of the value, with ones allowed."
        )
    return _bind(value, name, MaskedTap(name), {_MASK: mask.reshape(sizes)})


def tap_presented(name: str, value: Array, layout: Layout, frozen: str = "") -> Array:
    """Tap a value that hooks are to present in another layout than the program's own.

    Args:
        name: The last part of the hook point's name.
        value: The value, as the program has it.
        layout: The axes of the value, from which its presentation follows.
        frozen: The reason why an edit would be without effect, or an empty string.

    Returns:
        The same value.
    """
    return _bind(value, name, layout=layout, frozen=frozen)


@renamed_arguments(site="derived")
def tap_derived(
    derived: DerivedTap, value: ArrayLike, operands: Mapping[str, Array], *, frozen: str = ""
) -> Array:
    """Tap a value together with the operands from which `derived` computes hidden ones.

    Args:
        derived: The hook points of the call, and how they follow from the operands.
        value: The value of the last leaf.
        operands: Named arrays. Under `vmap` each of them gets the batch axis in front, so their
            axes must broadcast against each other at equal rank.
        frozen: The reason why an edit would be without effect, or an empty string.

    Returns:
        The same value.
    """
    for leaf in derived.leaves:
        _check_name(leaf)
    return _bind(value, derived.leaves[-1], derived, operands, frozen=frozen)


def _bind(
    value: ArrayLike,
    name: str,
    derived: DerivedTap | None = None,
    operands: Mapping[str, Array] = MappingProxyType({}),
    layout: Layout | None = None,
    frozen: str = "",
) -> Array:
    return tap_p.bind(
        jnp.asarray(value),
        *operands.values(),
        name=name,
        derived=derived,
        operands=tuple(operands),
        layout=layout,
        frozen=frozen,
    )


def _check_name(name: str) -> None:
    if not name or RESERVED.intersection(name):
        raise HookError(
            f"{name!r} cannot name a hook point; a name is not empty and contains none of *?[]#."
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
