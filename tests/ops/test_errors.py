"""Bad input is refused with both values and the way out."""

import jax.numpy as jnp
import pytest

from attn_jax import ops

ONE = jnp.ones


def attend(query=(3, 7), key=(5, 7), value=(5, 2), **rest):
    return ops.dot_product_attention(ONE(query), ONE(key), ONE(value), **rest)


def additive(**changed):
    parameters = {"w_query": ONE((7, 4)), "w_key": ONE((7, 4)), "v": ONE(4)} | changed
    return ops.additive_attention(ONE((3, 7)), ONE((5, 7)), ONE((5, 2)), **parameters)


def feed_forward(layers):
    return ops.feed_forward_attention(ONE((3, 7)), ONE((5, 7)), ONE((5, 2)), layers=layers)


CASES = {
    "a vector": (lambda: attend(query=(7,)), "query of shape .* needs at least two axes"),
    "batch": (lambda: attend(query=(2, 3, 7)), r"batch axes of query \(2,\), key \(\)"),
    "one query an example": (
        lambda: attend(query=(2, 7), key=(2, 5, 7), value=(2, 5, 3)),
        r"query has no axis of tokens: .* \(2,\)\. .* give query\[:, None\], and",
    ),
    "one query of all heads": (
        lambda: ops.attention(*map(ONE, [(2, 3, 4, 7), (2, 3, 5, 4, 7), (2, 3, 5, 4, 7)])),
        r"query has no axis of tokens: .* \(2, 3\)\. .* give query\[:, :, None\], and",
    ),
    "keys and values": (lambda: attend(value=(4, 2)), "key has 5 tokens and value has 4"),
    "features": (lambda: attend(key=(5, 8)), "key has 8 features and query expects 7"),
    "mask": (lambda: attend(mask=ONE((4, 5), bool)), r"mask of shape .*broadcast.*\(3, 5\)"),
    "mask of keys": (lambda: attend(mask=ONE(4, bool)), r"mask of shape \(4,\) does not broadcast"),
    "bias": (lambda: attend(bias=ONE((2, 1, 5))), r"bias of shape \(2, 1, 5\) has 3 axes"),
    "w_query": (
        lambda: additive(w_query=ONE((6, 4))),
        "query has 7 features and w_query ",
    ),
    "w_key": (lambda: additive(w_key=ONE((7, 3))), "w_key has 3 features and w_query expects 4"),
    "no w_key": (lambda: additive(w_key=None), "key has 7 features and w_query expects 4"),
    "v": (lambda: additive(v=ONE(5)), "v has 5 features and w_query expects 4"),
    "no layers": (lambda: feed_forward([]), "layers is empty"),
    "layers": (
        lambda: feed_forward([(ONE((14, 4)), ONE(4)), (ONE((3, 1)), ONE(1))]),
        r"layers\[1\] takes 3 features but gets 4 from layers\[0\]",
    ),
    "layer bias": (lambda: feed_forward([(ONE((14, 1)), ONE(2))]), r"bias must be \(1,\)"),
    "scores": (lambda: feed_forward([(ONE((14, 2)), ONE(2))]), "last layer returns 2 numbers"),
    "weigh": (lambda: ops.weigh(ONE((3, 5)), ONE((4, 2))), "over 5 keys .* has 4"),
}


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("case", CASES)
def test_shapes_that_do_not_fit(case):
    call, message = CASES[case]
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.usefixtures("unchecked")
def test_a_mask_of_numbers_is_refused():
    with pytest.raises(TypeError, match=r"mask must be boolean .* not float32"):
        attend(mask=ONE((3, 5)))
