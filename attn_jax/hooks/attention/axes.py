"""What becomes of the axes of an array in the operations that only move, cut or scale it."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from attn_jax.hooks.attention.graph import Op, Value

Atom = tuple[Any, int]
"""A part of an axis that is followed: its name, and its length where it began."""

Labels = tuple[tuple[Atom, ...], ...]
"""For each axis of an array the atoms in it, the slowest first; none for an unknown axis."""

LAYOUT = {"broadcast_in_dim", "copy", "copy_p", "expand_dims", "reshape", "squeeze", "transpose"}
_TYPE = {"convert_element_type", "reduce_precision", "stop_gradient", "optimization_barrier"}
_TYPE |= {"name", "sharding_constraint", "mesh_cast", "reshard", "pvary", "pcast", "device_put"}
_PARTS = {"slice", "dynamic_slice", "dynamic_update_slice", "pad", "concatenate", "gather", "rev"}
_VALUES = {"add", "add_any", "sub", "mul", "div", "neg", "select_n", "clamp", "max", "min", "tap"}
_VALUES |= {"outer"}

PASSIVE = LAYOUT | _TYPE | _PARTS | {"slice", "stack", "merge", "shard", "unshard"} | _VALUES
"""The operations through which weights remain weights: none of them mixes keys."""


def fresh(value: Value, name: Any) -> Labels:
    """Return labels for the axes of a value, one atom each."""
    return tuple((((name, axis), size),) for axis, size in enumerate(value.shape))


def follow(op: Op, position: int, labels: Labels) -> Labels | None:
    """Return the labels of an operation's first result, given those of one of its inputs.

    Axes that come from other inputs have no labels. None means that nothing is known.
    """
    value, out = op.inputs[position], op.outputs[0]
    rule = _RULES.get(op.name)
    if rule is not None:
        return rule(op, position, labels)
    if len(value.shape) != len(out.shape):
        return None
    sizes = zip(labels, value.shape, out.shape, strict=True)
    return tuple(label if old == new else () for label, old, new in sizes)


def reach(
    start: Value, labels: Labels, passive: set[str], *, is_live: bool = True
) -> dict[Value, Labels]:
    """Return every value that a value becomes through passive operations, with its labels.

    Args:
        start: The value.
        labels: Its labels.
        passive: The operations to follow it through.
        is_live: Whether to leave out operations that no result depends on.
    """
    reached = {start: labels}
    pending = [start]
    while pending:
        value = pending.pop(0)
        for op in value.users:
            if op.name not in passive or (is_live and not op.is_live):
                continue
            out = op.outputs[0]
            if out not in reached:
                followed = follow(op, op.inputs.index(value), reached[value])
                if followed is not None:
                    reached[out] = followed
                    pending.append(out)
    return reached


def chain(start: Value, end: Value, reached: dict[Value, Labels]) -> list[Value]:
    """Return the values on the way from one to another that it reaches."""
    values = [end]
    order = list(reached)
    while values[0] is not start and values[0].producer is not None:
        inputs = (v for v in values[0].producer.inputs if v in reached)
        values.insert(0, min(inputs, key=order.index))
    return values


def origins(value: Value, names: set[str], passive: set[str]) -> list[Op]:
    """Return the operations with these names that a value comes from, the nearest first."""
    found, seen, pending = [], {value}, [value]
    while pending:
        op = pending.pop(0).producer
        if op is None:
            continue
        if op.name in names:
            found.append(op) if op not in found else None
        elif op.name in passive:
            inputs = [v for v in op.inputs if v not in seen]
            seen.update(inputs)
            pending += inputs
    return found


def whole(atom: Atom) -> Atom:
    """Return the atom that an atom was cut from, or the atom itself."""
    name = atom[0]
    if isinstance(name, tuple) and name[0] == "part" and not isinstance(name[1][1], tuple):
        return whole(name[1])
    return atom


def dot_labels(op: Op, sides: Sequence[Labels]) -> Labels:
    """Return the labels of a matrix product from those of both factors."""
    (_, (left_batch, right_batch)) = op.params["dimension_numbers"]
    lefts, rights = free_axes(op, 0), free_axes(op, 1)
    batch = [sides[0][a] or sides[1][b] for a, b in zip(left_batch, right_batch, strict=True)]
    return (*batch, *(sides[0][a] for a in lefts), *(sides[1][a] for a in rights))


def free_axes(op: Op, side: int) -> list[int]:
    """Return the axes of a factor that are neither contracted nor shared."""
    contracted, batch = (pair[side] for pair in op.params["dimension_numbers"])
    rank = len(op.inputs[side].shape)
    return [axis for axis in range(rank) if axis not in contracted and axis not in batch]


def unlabeled(value: Value) -> Labels:
    """Return labels that say nothing."""
    return ((),) * len(value.shape)


def _dot_general(op: Op, position: int, labels: Labels) -> Labels:
    sides = [unlabeled(v) for v in op.inputs]
    sides[position] = labels
    return dot_labels(op, sides)


def _broadcast(op: Op, position: int, labels: Labels) -> Labels | None:
    if position:
        return None
    out: list[tuple[Atom, ...]] = [()] * len(op.outputs[0].shape)
    value = op.inputs[0]
    for axis, target in enumerate(op.params["broadcast_dimensions"]):
        if value.shape[axis] == op.outputs[0].shape[target]:
            out[target] = labels[axis]
    return tuple(out)


def _expand_dims(op: Op, position: int, labels: Labels) -> Labels:
    kept = iter(labels)
    new = {int(axis) for axis in op.params["dimensions"]}
    return tuple(() if axis in new else next(kept) for axis in range(len(op.outputs[0].shape)))


def _without(axes: Iterable[int], labels: Labels) -> Labels:
    axes = {int(axis) for axis in axes}
    return tuple(label for axis, label in enumerate(labels) if axis not in axes)


def _gather(op: Op, position: int, labels: Labels) -> Labels | None:
    if position:
        return None
    numbers = op.params["dimension_numbers"]
    collapsed = [*numbers.collapsed_slice_dims, *getattr(numbers, "operand_batching_dims", ())]
    kept = iter(_without(collapsed, labels))
    indexed = iter([labels[axis] for axis in collapsed] if len(collapsed) == 1 else [])
    out = range(len(op.outputs[0].shape))
    return tuple(next(kept) if axis in numbers.offset_dims else next(indexed, ()) for axis in out)


def _slice(op: Op, position: int, labels: Labels) -> Labels | None:
    # One step of a scanned array lacks its first axis; a slice keeps all axes.
    if "jaxpr" in op.params:
        return labels[1:]
    return None if position else labels


def _concatenate(op: Op, position: int, labels: Labels) -> Labels:
    return labels


def _first(op: Op, position: int, labels: Labels) -> Labels | None:
    return None if position else labels


def _reshape(op: Op, position: int, labels: Labels) -> Labels | None:
    if position:
        return None
    old, new = list(op.inputs[0].shape), list(op.outputs[0].shape)
    out: list[tuple[Atom, ...]] = [()] * len(new)
    try:
        for before, after in _groups(old, new):
            merged = tuple(atom for axis in before for atom in labels[axis])
            is_whole = all(labels[axis] for axis in before)
            for axis, label in zip(after, _split(merged, [new[a] for a in after]), strict=True):
                out[axis] = label if is_whole or len(after) == 1 else ()
    except Exception:  # symbolic sizes need not be comparable
        return None
    return tuple(out)


def _groups(old: list[int], new: list[int]) -> list[tuple[list[int], list[int]]]:
    """Pair the axes of two shapes in the smallest groups of equal size; leave out axes of one."""
    groups = []
    lefts = [axis for axis, size in enumerate(old) if size != 1]
    rights = [axis for axis, size in enumerate(new) if size != 1]
    while lefts and rights:
        before, after = [lefts.pop(0)], [rights.pop(0)]
        sizes = [old[before[0]], new[after[0]]]
        while sizes[0] != sizes[1]:
            if sizes[0] < sizes[1]:
                before.append(lefts.pop(0))
                sizes[0] *= old[before[-1]]
            else:
                after.append(rights.pop(0))
                sizes[1] *= new[after[-1]]
        groups.append((before, after))
    return groups


def _split(label: tuple[Atom, ...], sizes: Sequence[int]) -> list[tuple[Atom, ...]]:
    """Divide the atoms of a group of axes among its new axes; an atom that does not fit is cut."""
    if len(sizes) == 1:
        return [label]
    parts: list[tuple[Atom, ...]] = []
    atoms = list(label)
    for size in sizes:
        part: list[Atom] = []
        length = 1
        while atoms and length < size:
            part.append(atoms.pop(0))
            length *= part[-1][1]
        if length != size:
            # New atoms, which name what they were cut from.
            whole = label[0] if len(label) == 1 else label
            return [((("part", whole, k), s),) for k, s in enumerate(sizes)]
        parts.append(tuple(part))
    return parts


_RULES: dict[str, Callable[[Op, int, Labels], Labels | None]] = {
    "dot_general": _dot_general,
    "outer": _dot_general,
    "broadcast_in_dim": _broadcast,
    "expand_dims": _expand_dims,
    "squeeze": lambda op, position, labels: _without(op.params["dimensions"], labels),
    "transpose": lambda op, position, labels: tuple(labels[a] for a in op.params["permutation"]),
    "reshape": _reshape,
    "gather": _gather,
    "slice": _slice,
    "stack": lambda op, position, labels: ((), *labels),
    "concatenate": _concatenate,
    "pad": _first,
    "dynamic_slice": _first,
    "dynamic_update_slice": lambda op, position, labels: labels if position < 2 else None,
    "shard": lambda op, position, labels: labels,
    "unshard": lambda op, position, labels: labels,
    "select_n": lambda op, position, labels: labels if position else None,
    **dict.fromkeys(
        ("reduce_sum", "reduce_max"),
        lambda op, position, labels: _without(op.params["axes"], labels),
    ),
}
