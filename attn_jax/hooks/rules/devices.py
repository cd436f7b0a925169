"""Rule of devices: under `shard_map` captured values have a leading axis, one entry per device."""

import math
from collections.abc import Sequence
from typing import Any

import jax
from jax import lax
from jax.extend import core
from jax.sharding import PartitionSpec

from attn_jax.hooks.frame import Frame
from attn_jax.hooks.points import Block, Captured, Loop
from attn_jax.hooks.rules.rule import Rule, SubJaxpr


def _axes(eqn: core.JaxprEqn) -> tuple[str, ...]:
    """Return the mesh axes that the body is mapped over, in the order of the mesh."""
    params = eqn.params
    manual = params.get("newly_manual_axes", params.get("manual_axes"))  # until jax 0.9
    return tuple(axis for axis in eqn.params["mesh"].axis_names if axis in manual)


def _sub_jaxprs(eqn: core.JaxprEqn) -> list[SubJaxpr]:
    devices = math.prod(eqn.params["mesh"].shape[axis] for axis in _axes(eqn))
    return [SubJaxpr(eqn.params["jaxpr"], loop=Loop("shard_map", devices))]


def _run(
    frame: Frame, eqn: core.JaxprEqn, values: Sequence[Any], blocks: Sequence[Block]
) -> tuple[Sequence[Any], Captured]:
    params, axes = eqn.params, _axes(eqn)

    def body(*shards):
        device = lax.axis_index(axes)
        outs, captured = frame.evaluate(blocks[0], params["jaxpr"], shards, device)
        # Each device contributes one entry to a new axis, over which the output is sharded.
        return outs, jax.tree.map(lambda value: value[None], captured)

    mapped = jax.shard_map(
        body,
        mesh=params["mesh"],
        in_specs=tuple(params["in_specs"]),
        out_specs=(list(params["out_specs"]), PartitionSpec(axes)),
        axis_names=set(axes),
        check_vma=params["check_vma"],
    )
    return mapped(*values)


RULES = {"shard_map": Rule(_sub_jaxprs, _run)}
