"""Devices: under `shard_map` what is found has a leading axis, one entry for each device."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax
from jax import lax
from jax.extend import core
from jax.sharding import PartitionSpec

from attn_jax.hooks.rules.rule import Body, Found, Loop, Rule

if TYPE_CHECKING:
    from attn_jax.hooks.interpreter import Frame
    from attn_jax.hooks.survey import Block


def _axes(eqn: core.JaxprEqn) -> tuple[str, ...]:
    """Return the mesh axes that the body is mapped over, in the order of the mesh."""
    params = eqn.params
    manual = params.get("newly_manual_axes", params.get("manual_axes"))  # until jax 0.9
    return tuple(axis for axis in eqn.params["mesh"].axis_names if axis in manual)


def _bodies(eqn: core.JaxprEqn) -> list[Body]:
    devices = math.prod(eqn.params["mesh"].shape[axis] for axis in _axes(eqn))
    return [Body(eqn.params["jaxpr"], loop=Loop("shard_map", devices))]


def _run(
    frame: "Frame", eqn: core.JaxprEqn, values: Sequence[Any], blocks: Sequence["Block"]
) -> tuple[Sequence[Any], Found]:
    params, axes = eqn.params, _axes(eqn)

    def body(*shards):
        device = lax.axis_index(axes)
        outs, found = frame.evaluate(blocks[0], params["jaxpr"], shards, device)
        return outs, jax.tree.map(lambda value: value[None], found)

    mapped = jax.shard_map(
        body,
        mesh=params["mesh"],
        in_specs=tuple(params["in_specs"]),
        out_specs=(list(params["out_specs"]), PartitionSpec(axes)),
        axis_names=set(axes),
        check_vma=params["check_vma"],
    )
    return mapped(*values)


RULES = {"shard_map": Rule(_bodies, _run)}
