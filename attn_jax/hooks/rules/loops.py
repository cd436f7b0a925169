"""Loops: `scan` keeps what each step computed, `while` what the last one did."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.extend import core

from attn_jax.hooks.rules.rule import Body, Found, Loop, Rule
from attn_jax.hooks.rules.zeros import zeros_like

if TYPE_CHECKING:
    from attn_jax.hooks.interpreter import Frame
    from attn_jax.hooks.survey import Block


def _scan_bodies(eqn: core.JaxprEqn) -> list[Body]:
    return [Body(eqn.params["jaxpr"], loop=Loop("scan", eqn.params["length"]))]


def _run_scan(
    frame: "Frame", eqn: core.JaxprEqn, values: Sequence[Any], blocks: Sequence["Block"]
) -> tuple[Sequence[Any], Found]:
    params = eqn.params
    consts, init, xs = _operands(params, values)

    def evaluate(i: Array, state: list[Array], x: list[Array]) -> tuple[list[Array], Found]:
        return frame.evaluate(blocks[0], params["jaxpr"], [*consts, *state, *x], i)

    def step(carry, each):
        (state, kept), (i, x) = carry, each
        outs, found = evaluate(i, state, x)
        # A step asked for by its number is carried along, so that the others take no room.
        kept = {key: _keep(i == steps[key], found.pop(key), old) for key, old in kept.items()}
        return (outs[: len(init)], kept), (outs[len(init) :], found)

    steps, nothing = _chosen_steps(frame, evaluate, init, xs)
    (state, kept), (ys, found) = lax.scan(
        step,
        (init, nothing),
        (jnp.arange(params["length"], dtype=jnp.int32), xs),
        length=params["length"],
        reverse=params["reverse"],
        unroll=params["unroll"],
    )
    return [*state, *ys], found | kept


def _operands(params: dict[str, Any], values: Sequence[Any]) -> tuple[list, list, list]:
    """Return the constants of a scan, its first carry, and what it goes over."""
    if "ft_in" in params:  # since jax 0.12
        consts, init, xs = params["ft_in"].update(values).unpack()
        return list(consts), list(init), list(xs)
    first, second = params["num_consts"], params["num_consts"] + params["num_carry"]
    return list(values[:first]), list(values[first:second]), list(values[second:])


def _chosen_steps(frame: "Frame", evaluate, init, xs) -> tuple[dict[str, int], Found]:
    """Return which entries are about one step of this scan, and zeros to begin each with."""
    depth = len(frame.index)
    if not frame.plan.chooses_at(depth):
        return {}, {}
    first = [lax.index_in_dim(x, 0, keepdims=False) for x in xs]
    _, shapes = jax.eval_shape(evaluate, jnp.int32(0), init, first)
    chosen = {key: frame.plan.at(key)[depth] for key in shapes}
    steps = {key: step for key, step in chosen.items() if step is not None}
    return steps, {key: jax.tree.map(zeros_like, shapes[key]) for key in steps}


def _keep(here: Array, new: Any, old: Any) -> Any:
    return jax.tree.map(lambda new, old: lax.select(here, new, old), new, old)


def _while_bodies(eqn: core.JaxprEqn) -> list[Body]:
    why = "it lies in the condition of a while loop, which leaves nothing behind"
    return [
        Body(eqn.params["cond_jaxpr"], hidden=why),
        Body(eqn.params["body_jaxpr"], loop=Loop("while", None)),
    ]


def _run_while(
    frame: "Frame", eqn: core.JaxprEqn, values: Sequence[Any], blocks: Sequence["Block"]
) -> tuple[Sequence[Any], Found]:
    params = eqn.params
    split = params["cond_nconsts"]
    condition, values = values[:split], values[split:]
    consts, init = values[: params["body_nconsts"]], list(values[params["body_nconsts"] :])

    def evaluate(i: Array, state: list[Array]) -> tuple[list[Array], Found]:
        return frame.evaluate(blocks[1], params["body_jaxpr"], [*consts, *state], i)

    def body(carry):
        i, state, _ = carry
        return (i + 1, *evaluate(i, state))

    def go_on(carry):
        (again,), _ = frame.evaluate(blocks[0], params["cond_jaxpr"], [*condition, *carry[1]])
        return again

    _, shapes = jax.eval_shape(evaluate, jnp.int32(0), init)
    before = jax.tree.map(zeros_like, shapes)
    _, state, found = lax.while_loop(go_on, body, (jnp.int32(0), init, before))
    return state, found


RULES = {"scan": Rule(_scan_bodies, _run_scan), "while": Rule(_while_bodies, _run_while)}
