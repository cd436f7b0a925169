"""Rules of loops: `scan` stacks the values of its steps, `while` keeps those of the last one."""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.extend import core

from attn_jax.hooks.frame import Frame
from attn_jax.hooks.freed import run_freed
from attn_jax.hooks.points import Block, Captured, Loop
from attn_jax.hooks.rules.rule import Rule, SubJaxpr
from attn_jax.hooks.rules.zeros import zeros_like


def _scan_sub_jaxprs(eqn: core.JaxprEqn) -> list[SubJaxpr]:
    return [SubJaxpr(eqn.params["jaxpr"], loop=Loop("scan", eqn.params["length"]))]


def _run_scan(
    frame: Frame, eqn: core.JaxprEqn, values: Sequence[Any], blocks: Sequence[Block]
) -> tuple[Sequence[Any], Captured]:
    params = eqn.params
    consts, init, xs = _operands(params, values)

    def evaluate(i: Array, state: list[Array], x: list[Array]) -> tuple[list[Array], Captured]:
        return frame.evaluate(blocks[0], params["jaxpr"], [*consts, *state, *x], i)

    def step(carry, scanned):
        (state, singles), (i, x) = carry, scanned
        outs, captured = evaluate(i, state, x)
        # A value of one selected step travels in the carry, so that the other steps need no
        # memory; the other captured values are stacked like any output of the scan.
        singles = {
            key: _update(i == steps[key], captured.pop(key), old) for key, old in singles.items()
        }
        return (outs[: len(init)], singles), (outs[len(init) :], captured)

    steps, zeros = _selected_steps(frame, evaluate, init, xs, params["length"])
    # The numbers of the steps are scanned too, for edits and requests that depend on them.
    scan = functools.partial(
        lax.scan,
        step,
        length=params["length"],
        reverse=params["reverse"],
        unroll=params["unroll"],
    )
    numbers = jnp.arange(params["length"], dtype=jnp.int32)
    (state, singles), (ys, captured) = run_freed(scan, (init, zeros), (numbers, xs))
    return [*state, *ys], captured | singles


def _operands(params: dict[str, Any], values: Sequence[Any]) -> tuple[list, list, list]:
    """Return the constants of a scan, its initial carry, and the arrays that it scans."""
    if "ft_in" in params:  # since jax 0.12
        consts, init, xs = params["ft_in"].update(values).unpack()
        return list(consts), list(init), list(xs)
    first, second = params["num_consts"], params["num_consts"] + params["num_carry"]
    return list(values[:first]), list(values[first:second]), list(values[second:])


def _selected_steps(
    frame: Frame, evaluate, init, xs, length: int
) -> tuple[dict[str, int], Captured]:
    """Return the step of each request for a single step of this scan, and its initial zeros."""
    depth = len(frame.index)
    if not frame.plan.selects_step(depth) or not length:
        return {}, {}
    first = [lax.index_in_dim(x, 0, keepdims=False) for x in xs]
    _, shapes = jax.eval_shape(evaluate, jnp.int32(0), init, first)
    selected = {key: frame.plan.selection(key)[depth] for key in shapes}
    steps = {key: step for key, step in selected.items() if step is not None}
    return steps, {key: jax.tree.map(zeros_like, shapes[key]) for key in steps}


def _update(is_step: Array, new: Any, old: Any) -> Any:
    return jax.tree.map(lambda new, old: lax.select(is_step, new, old), new, old)


def _while_sub_jaxprs(eqn: core.JaxprEqn) -> list[SubJaxpr]:
    reason = "it lies in the condition of a while loop, which leaves nothing behind"
    return [
        SubJaxpr(eqn.params["cond_jaxpr"], hidden=reason),
        SubJaxpr(eqn.params["body_jaxpr"], loop=Loop("while", None)),
    ]


def _run_while(
    frame: Frame, eqn: core.JaxprEqn, values: Sequence[Any], blocks: Sequence[Block]
) -> tuple[Sequence[Any], Captured]:
    params = eqn.params
    split = params["cond_nconsts"]
    cond_consts, values = values[:split], values[split:]
    body_consts, init = values[: params["body_nconsts"]], list(values[params["body_nconsts"] :])

    def evaluate(i: Array, state: list[Array]) -> tuple[list[Array], Captured]:
        return frame.evaluate(blocks[1], params["body_jaxpr"], [*body_consts, *state], i)

    def body(carry):
        i, state, _ = carry
        return (i + 1, *evaluate(i, state))

    def condition(carry):
        (is_true,), _ = frame.evaluate(blocks[0], params["cond_jaxpr"], [*cond_consts, *carry[1]])
        return is_true

    # The number of iterations is unknown, so each one overwrites the captured values of the one
    # before; a carry needs values before the first.
    _, shapes = jax.eval_shape(evaluate, jnp.int32(0), init)
    zeros = jax.tree.map(zeros_like, shapes)
    _, state, captured = run_freed(
        functools.partial(lax.while_loop, condition, body), (jnp.int32(0), init, zeros)
    )
    return state, captured


RULES = {"scan": Rule(_scan_sub_jaxprs, _run_scan), "while": Rule(_while_sub_jaxprs, _run_while)}
