"""What weights are multiplied by, and which of their axes is which."""

import dataclasses
from collections.abc import Iterator
from typing import Any

from attn_jax.hooks.attention.axes import (
    PASSIVE,
    Atom,
    Labels,
    chain,
    dot_labels,
    free_axes,
    fresh,
    origins,
    reach,
    unlabeled,
    whole,
)
from attn_jax.hooks.attention.graph import Op, Value
from attn_jax.hooks.layout import Layout, Role

_FEATURE = "feature"
_TO_PRODUCT = PASSIVE | {"exp", "exp2", "logistic"}
_FROM_PRODUCT = PASSIVE | {"tanh", "exp", "log", "max", "min", "and", "or", "abs", "integer_pow"}


@dataclasses.dataclass
class Product:
    """The product of weights and values.

    Attributes:
        op: The matrix product, or the sum after an element-wise product.
        side: The factor that holds the weights.
        chain: The values from the weights to that factor.
        factor: The labels of that factor.
        labels: The labels of its result.
    """

    op: Op
    side: int
    chain: list[Value]
    factor: Labels
    labels: Labels


def find_product(
    weights: Value, labels: Labels, keys: set[Atom], is_replay: bool
) -> Product | None:
    """Return the first product in which the keys are summed over, in the same pass.

    A gradient may depend on weights whose product with the values nothing depends on.
    """
    return _first_product(weights, labels, keys, is_replay, is_live=True) or _first_product(
        weights, labels, keys, is_replay, is_live=False
    )


def _first_product(
    weights: Value, labels: Labels, keys: set[Atom], is_replay: bool, *, is_live: bool
) -> Product | None:
    reached = reach(weights, labels, PASSIVE, is_live=is_live)
    uses = [
        (op, op.inputs.index(value), value)
        for value in reached
        for op in value.users
        if op.is_live >= is_live and op.is_replay <= is_replay
    ]
    for op, side, value in sorted(uses, key=lambda use: use[0].order):
        if (result := _result(op, side, reached[value], keys)) is not None:
            steps = chain(weights, value, reached)
            return Product(op, side, steps, reached[value], result)
    return None


def _result(op: Op, side: int, labels: Labels, keys: set[Atom]) -> Labels | None:
    if op.name == "dot_general":
        contracted = op.params["dimension_numbers"][0][side]
        if not keys.intersection(atom for axis in contracted for atom in labels[axis]):
            return None
        sides = [unlabeled(v) for v in op.inputs]
        other = op.inputs[1 - side]
        features = fresh(other, _FEATURE)
        sides[1 - side] = tuple(
            label if axis in free_axes(op, 1 - side) else () for axis, label in enumerate(features)
        )
        sides[side] = labels
        return dot_labels(op, sides)
    if op.name == "reduce_sum":
        axes = {int(axis) for axis in op.params["axes"]}
        is_over_keys = keys.issuperset(atom for axis in axes for atom in labels[axis]) and any(
            labels[axis] for axis in axes
        )
        # Values bring an axis of features with them; the sum of the weights themselves does not.
        sizes = zip(labels, op.inputs[0].shape, strict=True)
        if is_over_keys and any(not label and size != 1 for label, size in sizes):
            named = fresh(op.inputs[0], _FEATURE)
            full = [label or named[axis] for axis, label in enumerate(labels)]
            return tuple(label for axis, label in enumerate(full) if axis not in axes)
    return None


@dataclasses.dataclass
class Roles:
    """The roles of the atoms that the axes of scores are made of.

    Attributes:
        by_atom: The role of each atom, in the order in which axes of one role are joined.
        keys_from: The factor of the scores that holds the keys, if they are a product of two
            arrays that share a batch, as no projection is.
    """

    by_atom: dict[Atom, Role]
    keys_from: Value | None

    def layout(self, labels: Labels) -> Layout:
        """Return the layout of an array with these labels."""
        ranks = tuple(self._rank(label) for label in labels)
        return Layout(tuple(self._role(label) for label in labels), ranks)

    def _rank(self, label: tuple[Atom, ...]) -> tuple[int, ...]:
        """Return where an axis stands among those of its role; parts of one follow each other."""
        order = list(self.by_atom)
        if not label or whole(label[0]) not in order:
            return ()
        return (order.index(whole(label[0])), *([] if label[0] in order else [label[0][0][2]]))

    def _role(self, label: tuple[Atom, ...]) -> Role:
        roles: set[Role] = {self._role_of_atom(atom) for atom in label}
        return roles.pop() if len(roles) == 1 else "batch"

    def _role_of_atom(self, atom: Atom) -> Role:
        return "feature" if _is_feature(atom) else self.by_atom.get(whole(atom), "batch")


def _is_feature(atom: Any) -> bool:
    name = atom[0]
    return isinstance(name, tuple) and name[0] == _FEATURE


def roles_of(scores: Value, labels: Labels, keys: set[Atom], product: Product) -> Roles:
    """Work out which axis of the scores runs over what, from the products around them."""
    atoms = [atom for label in labels for atom in label]
    shared = _shared(product)
    free = [atom for atom in atoms if atom not in keys and atom not in shared]
    score_product = _score_product(scores, labels, keys)
    queries = _queries(score_product, free) if score_product else []
    groups = set(shared) if len(free) > 1 else set()
    heads = _heads_after(product, groups) or _heads_before(score_product)
    heads = [*dict.fromkeys(whole(atom) for atom in heads)] or _divided(product)
    heads = [atom for atom in heads if atom in atoms and atom not in keys and atom not in queries]
    if not queries and set(free) <= set(heads):  # one of the axes has to be that of the queries
        heads = [atom for atom in heads if atom not in free]
    queries = queries or [atom for atom in free if atom not in heads]
    others = [atom for atom in atoms if atom not in heads]
    by_atom: dict[Atom, Role] = dict.fromkeys([*others, *heads], "batch")
    by_atom |= dict.fromkeys(keys, "key")
    by_atom |= dict.fromkeys(queries, "query")
    by_atom |= dict.fromkeys(heads, "head")
    return Roles(by_atom, score_product.keys_from if score_product else None)


def _shared(product: Product) -> set[Atom]:
    """Return the atoms that weights and values share, besides the keys."""
    if product.op.name != "dot_general":
        return set()
    axes = product.op.params["dimension_numbers"][1][product.side]
    return {whole(atom) for axis in axes for atom in product.factor[axis]}


def _divided(product: Product) -> list[Atom]:
    """Return axes of which values share a part alone: the heads, in groups."""
    if product.op.name != "dot_general":
        return []
    axes = product.op.params["dimension_numbers"][1][product.side]
    parts = [atom for axis in axes for atom in product.factor[axis]]
    return [whole(atom) for atom in parts if whole(atom) != atom]


@dataclasses.dataclass
class _ScoreProduct:
    """The product of queries and keys: the operation, and the axes of scores by their origin."""

    op: Op
    query_side: int
    free: dict[Atom, int]  # the atoms of the scores that come from one factor alone
    atoms: dict[int, tuple[Atom, ...]]  # by the axis of the product's result

    @property
    def keys_from(self) -> Value | None:
        """The factor with the keys, if it shares a batch with the other."""
        is_batched = bool(self.op.params["dimension_numbers"][1][0])
        return self.op.inputs[1 - self.query_side] if is_batched else None

    def of_query_axis(self, axis: int) -> tuple[Atom, ...]:
        """Return the atoms of the scores that an axis of the queries becomes."""
        shared = list(self.op.params["dimension_numbers"][1][self.query_side])
        if axis in shared:
            return self.atoms.get(shared.index(axis), ())
        first = len(shared) + (len(free_axes(self.op, 0)) if self.query_side else 0)
        return self.atoms.get(first + free_axes(self.op, self.query_side).index(axis), ())


def _score_product(scores: Value, labels: Labels, keys: set[Atom]) -> _ScoreProduct | None:
    for op in origins(scores, {"dot_general"}, _FROM_PRODUCT):
        out = op.outputs[0]
        at_scores = reach(out, fresh(out, "product"), _FROM_PRODUCT).get(scores)
        if at_scores is None:
            continue
        batch = len(op.params["dimension_numbers"][1][0])
        lefts = len(free_axes(op, 0))
        free: dict[Atom, int] = {}
        by_axis: dict[int, tuple[Atom, ...]] = {}
        for label, origin in zip(labels, at_scores, strict=True):
            for atom in origin:
                (_, axis), _ = whole(atom)
                by_axis[axis] = (*by_axis.get(axis, ()), *label)
                if axis >= batch:
                    free |= dict.fromkeys(label, 0 if axis < batch + lefts else 1)
        sides = {free[atom] for atom in keys if atom in free}
        if len(sides) == 1 and len(set(free.values())) == 2:
            return _ScoreProduct(op, 1 - sides.pop(), free, by_axis)
    return None


def _queries(product: _ScoreProduct, free: list[Atom]) -> list[Atom]:
    """Return the free axis that comes from the factor without keys, if there is just one."""
    candidates = [atom for atom in free if product.free.get(atom) == product.query_side]
    return candidates if len(candidates) == 1 else []


def _heads_after(product: Product, shared: set[Atom]) -> list[Atom]:
    """Return the axes that are joined or contracted with the features of the context.

    Args:
        product: The product of weights and values.
        shared: Axes that weights and values share. If one of them is joined with another axis of
            the weights, that axis counts the query heads of a group, and both are heads.
    """
    reached = reach(product.op.outputs[0], product.labels, PASSIVE)
    for value, labels in reached.items():
        for label in labels:
            others = [atom for atom in label if not _is_feature(atom)]
            if others and len(others) < len(label):
                return others
            if shared.intersection(others) and not shared.issuperset(others):
                return others
        for op, side in _dots(value):
            contracted = op.params["dimension_numbers"][0][side]
            label = [atom for axis in contracted for atom in labels[axis]]
            others = [atom for atom in label if not _is_feature(atom)]
            if others and len(others) < len(label):
                return others
    return []


def _dots(value: Value) -> Iterator[tuple[Op, int]]:
    return ((op, op.inputs.index(value)) for op in value.users if op.name == "dot_general")


def _heads_before(product: _ScoreProduct | None) -> list[Atom]:
    """Return the axes of the scores that were split off the features of the queries."""
    if product is None:
        return []
    op, side = product.op, product.query_side
    query = op.inputs[side]
    contracted = op.params["dimension_numbers"][0][side]
    for source in origins(query, {"dot_general", "reshape"}, PASSIVE - {"reshape"}):
        start = source.outputs[0]
        labels = _split_features(source) if source.name == "reshape" else _kernel_axes(source)
        at_query = reach(start, labels, PASSIVE).get(query)
        if at_query is None or not any(at_query[axis] for axis in contracted):
            continue
        axes = [a for a, label in enumerate(at_query) if label and a not in contracted]
        if axes:
            return [atom for axis in axes for atom in product.of_query_axis(axis)]
    return []


def _kernel_axes(op: Op) -> Labels:
    """Label the results of a projection that come from its kernel."""
    return dot_labels(op, [unlabeled(op.inputs[0]), fresh(op.inputs[1], "kernel")])


def _split_features(op: Op) -> Labels:
    """Label the axes that a reshape makes of the last axis before it."""
    old, new = op.inputs[0].shape, op.outputs[0].shape
    labels = fresh(op.outputs[0], "split")
    kept = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), len(old))
    is_split = kept == len(old) - 1 and sum(size != 1 for size in new[kept:]) > 1
    return tuple(label if is_split and axis >= kept else () for axis, label in enumerate(labels))
