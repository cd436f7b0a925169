"""The report card of a model that predicts tokens: its last layer's map, token by token.

What a token reads in the last layer decides its own prediction alone, so that a text gives an
example for each of its tokens, and only that layer runs again when weights are edited. In earlier
layers a token also changes what later tokens read.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import eval_jaxpr
from jax.interpreters.partial_eval import dce_jaxpr

from attn_jax import hooks, measure
from attn_jax.pretrained import Pretrained

MOST = 32
"""The most predictions that are judged: the last of the text."""

LEAST = 4
"""The fewest predictions that are judged, and the fewest keys that each must have."""


@dataclasses.dataclass(frozen=True)
class LastLayer:
    """The last layer of a model in a run, and the map in it.

    Attributes:
        name: The layer's path: `layers.29`, or `decoder.layers.5`.
        attention: The name of the attention in it whose map is judged.
        head: The head that is judged, or None for all together.
        argument: The model's argument for the tokens that it predicts from.
    """

    name: str
    attention: str = "attention"
    head: int | None = None
    argument: str = "tokens"

    @property
    def points(self) -> list[str]:
        """The hook points whose values in the run are needed, beside all weights."""
        leaves = ("residual", "*attention.context", f"{self.attention}.value")
        return [f"{self.name}.{leaf}" for leaf in leaves]


def judged_rows(weights: np.ndarray, exists: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the text and the position of each prediction that is judged.

    Args:
        weights: The map, `(texts, heads, queries, keys)`.
        exists: True for the tokens that are no padding, `(texts, queries)`.
    """
    visible = (weights > 0).any(1).sum(-1)
    texts, positions = np.nonzero((visible >= LEAST) & exists)
    return texts[-MOST:], positions[-MOST:]


def judge_last_layer(
    model: Pretrained,
    layer: LastLayer,
    captured: Mapping[str, np.ndarray],
    inputs: Mapping[str, np.ndarray],
    rows: tuple[np.ndarray, np.ndarray],
) -> measure.ReportCard:
    """Judge how far the last layer's map shows what the predictions depend on.

    A key to which no head gives weight counts as hidden: no edit gives it any. Inputs are not
    replaced: at a key, all predictions of a text have the same.

    Args:
        model: A model that returns logits at each token.
        layer: Its last layer, and the map.
        captured: The weights and the other values of its run, by hook point.
        inputs: The model's arguments in the run.
        rows: The text and the position of each prediction, from :func:`judged_rows`.

    Returns:
        The card; each prediction is an example.
    """
    fn, batch = last_layer(model, layer, captured, inputs, rows)
    name = f"{layer.name}.{layer.attention}.weights"
    visible = (captured[name][rows[0], :, rows[1]] > 0).any(axis=1)
    return measure.report_card(fn, batch, attention=name, mask=np.asarray(visible), resample=None)


def last_layer(
    model: Pretrained,
    layer: LastLayer,
    captured: Mapping[str, np.ndarray],
    inputs: Mapping[str, np.ndarray],
    rows: tuple[np.ndarray, np.ndarray],
) -> tuple[Callable[[Any], Any], Any]:
    """Return a function of some rows of the last layer to their logits, and the rows.

    Its only hook point holds the weights of the map, `(rows, heads, 1, keys)`, under their own
    name.

    Args:
        model: A model that returns logits at each token.
        layer: Its last layer, and the map.
        captured: The weights and the other values of its run, by hook point.
        inputs: The model's arguments in the run.
        rows: The text and the position of each row.
    """
    point = f"{layer.name}.{layer.attention}"
    weights = captured[f"{point}.weights"][rows[0], :, rows[1]]
    values = captured[f"{point}.value"][rows[0]]
    values = np.repeat(values, weights.shape[1] // values.shape[2], axis=2)
    others = {
        name: value[rows]
        for name, value in captured.items()
        if name.startswith(f"{layer.name}.") and name.endswith((".residual", ".context"))
    }
    chosen = slice(None) if layer.head is None else slice(layer.head, layer.head + 1)
    run, needed = _rest_of_the_model(model, layer.argument, inputs, others)

    def fn(batch: Any) -> Any:
        judged, weights, values, others, needed = batch
        edited = hooks.tap(f"{point}.weights", judged)[:, :, 0]
        context = jnp.einsum("nhk,nkhd->nhd", weights.at[:, chosen].set(edited), values)
        return run({**others, f"{point}.context": context}, needed)

    batch = (weights[:, chosen, None], weights, values, others, needed)
    return fn, jax.tree.map(jnp.asarray, batch)


def _rest_of_the_model(
    model: Pretrained, argument: str, inputs: Mapping[str, Any], values: Mapping[str, Any]
) -> tuple[Callable[[Mapping[str, Any], Any], Any], list[Any]]:
    """Return what follows some values: a function of rows of them and of the weights it needs."""

    def whole(values: Mapping[str, Any], variables: Any) -> Any:
        edits = {name: _replacing(value[None]) for name, value in values.items()}
        rows = len(next(iter(values.values())))
        arguments = {name: value[:1] for name, value in inputs.items()}
        arguments |= {argument: jnp.zeros((1, rows), jnp.int32)}
        arguments.pop("key_mask", None)
        return hooks.intervene(model.model.apply, edits)(variables, **arguments)[0]

    # What the values replace is dropped here: every run of the card would trace it again.
    traced = jax.make_jaxpr(whole)(dict(values), model.variables)
    jaxpr, is_used = dce_jaxpr(traced.jaxpr, [True])
    weights = jax.tree.leaves(model.variables)
    needed = [w for w, used in zip(weights, is_used[len(values) :], strict=True) if used]

    def run(values: Mapping[str, Any], needed: Any) -> Any:
        leaves = jax.tree.leaves(dict(values))
        first = [v for v, used in zip(leaves, is_used, strict=False) if used]
        return eval_jaxpr(jaxpr, traced.consts, *first, *needed)[0]

    return run, needed


def _replacing(value: Any) -> Callable[[Any, hooks.Site], Any]:
    return lambda _, site: value
