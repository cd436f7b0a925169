"""Taps for the attention of a program: what each of them names, and where it goes."""

import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from attn_jax.hooks.attention.axes import Labels
from attn_jax.hooks.attention.graph import Level, Value
from attn_jax.hooks.attention.sites import KernelSite, Site, WeightsSite
from attn_jax.hooks.layout import Layout
from attn_jax.hooks.names import is_differentiated
from attn_jax.hooks.points import Block, Placement
from attn_jax.hooks.survey import DIFFERENTIATED, sub_jaxprs_of
from attn_jax.hooks.tap import tap_derived, tap_presented


@dataclasses.dataclass(frozen=True)
class LateSum:
    """Weights whose sum divides the context, not them (a `DerivedTap`).

    Attributes:
        axes: The axes of the keys in the numerators, counted from the end.
        layout: The layout of the numerators.
    """

    keys: tuple[int, ...]
    layout: Layout

    @property
    def leaves(self) -> tuple[str, ...]:
        """The weights, and the exponentials that are in the program."""
        return ("weights", "exponentials")

    @property
    def observations(self) -> tuple[str, ...]:
        """None of the leaves."""
        return ()

    @property
    def axes(self) -> dict[str, tuple[str, ...]]:
        """The axes of the weights."""
        return {"weights": self.layout.axes}

    def derive(self, leaf: str, operands: Mapping[str, Array]) -> Array:
        """Return the weights, from the exponentials, or the exponentials."""
        if leaf in operands:
            return operands[leaf]
        if leaf == "weights":
            exponentials = operands["exponentials"]
            return self.layout.present(exponentials / self._sum(exponentials))
        restored = self.layout.restore(operands["weights"], operands["total"])
        return restored * self._sum(operands["total"])

    def rewrite(self, leaf: str, edited: Array, operands: Mapping[str, Array]) -> dict[str, Array]:
        """Put edited weights among the operands, with what the sum was computed from."""
        if leaf == "weights":
            return {"weights": edited, "total": operands["exponentials"]}
        return {"exponentials": edited}

    def rows(self, operands: Mapping[str, Array], start: ArrayLike, size: int) -> dict[str, Array]:
        """Return the operands of all queries."""
        return dict(operands)

    def _sum(self, exponentials: Array) -> Array:
        return jnp.sum(exponentials, self.keys, keepdims=True)


def place_taps(sites: Sequence[Site]) -> dict[Level, dict[int, list[Placement]]]:
    """Return the taps of these sites, by level and by the number of the equation."""
    placements: dict[Level, dict[int, list[Placement]]] = {}
    for site in sites:
        for level, i, placement in _placements(site):
            placements.setdefault(level, {}).setdefault(i, []).append(placement)
    return placements


def _placements(site: Site) -> Iterator[tuple[Level, int, Placement]]:
    if isinstance(site, KernelSite):
        yield _of_kernel(site)
    elif isinstance(site, WeightsSite):
        yield from _of_stages(site)


def _of_stages(site: WeightsSite) -> Iterator[tuple[Level, int, Placement]]:
    yield from _of_scores(site)
    if site.normalization.product is None:
        yield _of_weights(site)
    else:
        yield _of_late_sum(site)
    product = site.product
    context, labels = product.op.outputs[0], product.labels
    yield _at_value(site, context, labels, "context")


def _of_scores(site: WeightsSite) -> Iterator[tuple[Level, int, Placement]]:
    if site.normalization.twin is not None:
        return  # an edit would reach the numerators alone
    scores = site.normalization.scores
    has_tap = (scores.producer and scores.producer.name == "tap") or any(
        op.name == "tap" for op in scores.users
    )
    if not has_tap:
        yield _at_value(site, scores, site.labels[scores], "scores")


def _of_weights(site: WeightsSite) -> tuple[Level, int, Placement]:
    """Place the tap at the weights, or at the first of their copies that can be edited."""
    labels = site.labels[site.product.chain[0]]
    chain = site.product.chain
    for value in chain:
        level = _level(value, site.product.op.level)
        if not level.frozen and value.shape == chain[0].shape:
            return _at_value(site, value, labels, "weights")
    return _at_value(site, chain[0], labels, "weights")


def _of_late_sum(site: WeightsSite) -> tuple[Level, int, Placement]:
    """Place the tap where the exponentials go into the product; the sum sees those before it."""
    product = site.product
    factor = product.op.inputs[product.side]
    layout = site.roles.layout(product.factor)
    keys = tuple(
        axis - len(layout.roles) for axis, role in enumerate(layout.roles) if role == "key"
    )
    level = product.op.level
    tap_call = functools.partial(_tap_late_sum, LateSum(keys, layout), _frozen(site, level))
    variable, _ = factor.names[level]
    return (
        level,
        product.op.index,
        Placement((variable,), tap_call, site.scopes_inside(level), is_operand=True),
    )


def _tap_late_sum(
    derived: LateSum, frozen: str, outs: Sequence[Array], operands: Sequence[Any]
) -> list[Array]:
    return [tap_derived(derived, outs[0], {}, frozen=frozen)]


def _of_kernel(site: KernelSite) -> tuple[Level, int, Placement]:
    op, eqn = site.kernel.op, site.kernel.op.eqn
    placement = Placement(
        tuple(eqn.outvars), site.kernel.tap_call, site.scopes_inside(op.level), tuple(eqn.invars)
    )
    return op.level, op.index, placement


def _at_value(
    site: WeightsSite, value: Value, labels: Labels, leaf: str
) -> tuple[Level, int, Placement]:
    level = _level(value, site.product.op.level if leaf != "scores" else site.level)
    variable, i = value.names[level]
    layout, frozen = site.roles.layout(labels), _frozen(site, level)
    tap_call = functools.partial(_tap_value, leaf, layout, frozen)
    return level, i, Placement((variable,), tap_call, site.scopes_inside(level))


def _frozen(site: WeightsSite, level: Level) -> str:
    return level.frozen or DIFFERENTIATED * is_differentiated(site.normalization.op.eqn)


def _tap_value(
    leaf: str, layout: Layout, frozen: str, outs: Sequence[Array], operands: Sequence[Any]
) -> list[Array]:
    return [tap_presented(leaf, outs[0], layout, frozen)]


def _level(value: Value, toward: Level) -> Level:
    """Return the level in which to tap a value: near its use, and outside custom derivatives."""
    first = next(iter(value.names))
    common = first.common(toward)
    levels = [level for level in first.around() if level in value.names]
    editable = [level for level in levels if not (level.frozen or level.hidden)]
    near = [level for level in editable if level in common.around()]
    return next(iter(near or editable[-1:] or levels))


def block_of(root: Level, placements: Mapping[Level, Mapping[int, Sequence[Placement]]]) -> Block:
    """Return the taps as a block that the interpreter can run."""
    needed = {level for placed in placements for level in placed.around()}
    return _block(root, needed, placements)


def _block(
    level: Level, needed: set[Level], placements: Mapping[Level, Mapping[int, Sequence[Placement]]]
) -> Block:
    inner: dict[int, list[Block]] = {}
    for child in needed:
        if child.parent is level:
            i, k = child.place
            if i not in inner:
                inner[i] = [Block({}, {}) for _ in sub_jaxprs_of(level.jaxpr.eqns[i])]
            inner[i][k] = _block(child, needed, placements)
    placed = {i: tuple(taps) for i, taps in placements.get(level, {}).items()}
    return Block({}, {i: tuple(blocks) for i, blocks in inner.items()}, placed)
