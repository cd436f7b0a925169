"""Masks at hook points: what an edit of weights may know of the keys that are hidden."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_jax.hooks import HookError, capture, hook_points, intervene, row_blocked, tap

MASK = jnp.array([[True, True, False], [False, True, True]])


def fn(x):
    weights = jax.nn.softmax(x, where=MASK)
    return 2 * tap("weights", weights, visible=MASK)


def spread(weights, site):
    """Let each query look at all that it may, alike."""
    visible = jnp.broadcast_to(site.visible(), weights.shape)
    return visible / visible.sum(-1, keepdims=True)


@pytest.mark.parametrize(
    "transform", [lambda f: f, jax.jit, jax.checkpoint], ids=["plain", "jit", "checkpoint"]
)
def test_an_edit_reads_the_mask_of_a_tap(transform):
    out = intervene(transform(fn), {"weights": spread})(jnp.zeros((2, 3)))
    np.testing.assert_allclose(out, MASK, atol=1e-6)


def test_the_mask_follows_vmap_and_scan():
    out = intervene(jax.vmap(fn), {"weights": spread})(jnp.zeros((5, 2, 3)))
    np.testing.assert_allclose(out, np.broadcast_to(MASK, (5, 2, 3)), atol=1e-6)

    def stack(x):
        return jax.lax.scan(lambda x, _: (fn(x), None), x, length=3)[0]

    out = intervene(stack, {"*.weights": spread})(jnp.zeros((2, 3)))
    np.testing.assert_allclose(out, MASK, atol=1e-6)


def test_a_mask_changes_neither_the_list_nor_what_is_captured():
    x = jnp.arange(6.0).reshape(2, 3)
    assert [(p.name, p.shape) for p in hook_points(fn)(x)] == [("weights", (2, 3))]
    expected = np.exp(x) * MASK / (np.exp(x) * MASK).sum(-1, keepdims=True)
    out, captured = capture(fn, {"*": row_blocked(jnp.cumsum, 1)})(x)
    np.testing.assert_allclose(out, 2 * expected, rtol=1e-6)
    np.testing.assert_allclose(captured["weights"], np.cumsum(expected, -1).ravel(), rtol=1e-6)
    assert jax.jit(fn).lower(x).compile().as_text().count("tap") == 0


def test_a_tap_without_a_mask_knows_none():
    masks = []
    edit = {"weights": lambda value, site: masks.append(site.visible()) or value}
    intervene(lambda x: tap("weights", x), edit)(jnp.ones(3))
    assert masks == [None]


@pytest.mark.parametrize("shape", [(2,), (4, 2, 3)])
def test_a_mask_that_does_not_fit_is_refused(shape):
    message = f"visible of shape {shape} does not broadcast to 'weights' of shape (2, 3)"
    with pytest.raises(HookError, match=re.escape(message)):
        tap("weights", jnp.ones((2, 3)), visible=np.ones(shape, bool))
