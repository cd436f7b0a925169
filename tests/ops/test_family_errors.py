"""Bad input to the further scores and alignments is refused with both values and the way out."""

import jax.numpy as jnp
import pytest

from attn_jax import ops

ONE = jnp.ones
INPUTS = ONE((3, 7)), ONE((5, 4)), ONE((5, 2))
ENERGY = {"w_query": ONE((7, 6)), "w_key": ONE((4, 6)), "v": ONE(6)}
LOCATION = ENERGY | {
    "w_location": ONE((2, 6)),
    "filters": ONE((3, 2)),
    "state": ONE((3, 5)),
}
PLACE = {"w": ONE((7, 4)), "w_position": ONE((7, 6)), "v_position": ONE(6), "half_width": 2}


def call(function, parameters=None, **changed):
    return lambda: function(*INPUTS, **(parameters or {}) | changed)


def mocha(**changed):
    chunk = {f"chunk_{name}": x for name, x in ENERGY.items()}
    return call(ops.mocha_attention, ENERGY | chunk | {"width": 2}, **changed)


CASES = {
    "bilinear query": (
        call(ops.bilinear_attention, w=ONE((8, 4))),
        "query has 7 features and w expects 8",
    ),
    "bilinear key": (
        call(ops.bilinear_attention, w=ONE((7, 5))),
        "key has 4 features and w expects 5",
    ),
    "concat": (
        call(ops.concat_attention, w=ONE((10, 6)), v=ONE(6)),
        r"w takes 10 features, but query and key have 7 \+ 4 = 11",
    ),
    "location": (
        call(ops.location_attention, w=ONE((7, 4))),
        r"w of shape \(7, 4\) scores 4 positions but there are 5 keys",
    ),
    "cosine": (call(ops.cosine_attention), "key has 4 features and query expects 7"),
    "temperature": (
        lambda: ops.cosine_scores(ONE((3, 7)), ONE((5, 7)), temperature=-1.0),
        "temperature=-1.0 must be positive",
    ),
    "block": (call(ops.additive_attention, ENERGY, block_size=0), "block_size=0 must be at least"),
    "filters": (
        call(ops.location_sensitive_attention, LOCATION, filters=ONE((3, 9))),
        "filters has 9 features and w_location expects 2",
    ),
    "w_location": (
        call(ops.location_sensitive_attention, LOCATION, w_location=ONE((2, 9))),
        "w_location has 9 features and w_query expects 6",
    ),
    "previous weights": (
        call(ops.location_sensitive_attention, LOCATION, state=ONE((3, 4))),
        r"state has shape \(3, 4\) but must have shape \(3, 5\)",
    ),
    "mixture": (
        call(ops.gaussian_mixture_attention, w=ONE((7, 4)), b=ONE(4)),
        "has 4 columns, which 3 does not divide",
    ),
    "mixture bias": (
        call(ops.gaussian_mixture_attention, w=ONE((7, 6)), b=ONE(3)),
        "b has 3 features and w expects 6",
    ),
    "mixture position": (
        call(ops.gaussian_mixture_attention, w=ONE((7, 6)), b=ONE(6), state=ONE((3, 2))),
        r"state has shape \(3, 2\) but must have shape \(2,\)",
    ),
    "reader": (
        call(ops.monotonic_attention, ENERGY, state=ONE((3, 5))),
        r"state has shape \(3, 5\) but must have shape \(5,\)",
    ),
    "reader's parameters": (
        call(ops.monotonic_attention, ENERGY, v=ONE(7)),
        "v has 7 features and w_query expects 6",
    ),
    "width": (mocha(width=0), "width=0 must be at least 1"),
    "chunks": (
        lambda: ops.chunkwise_weights(ONE((3, 5)), ONE((3, 4)), 2),
        r"alignment has shape \(3, 5\) and chunk_scores \(3, 4\)",
    ),
    "window": (
        call(ops.local_m_attention, w=ONE((7, 4)), half_width=-1),
        r"window=-1 has a negative side",
    ),
    "bell": (call(ops.local_p_attention, PLACE, half_width=0), "half_width=0 must be at least 1"),
    "position": (
        call(ops.local_p_attention, PLACE, v_position=ONE(5)),
        "v_position has 5 features and w_position expects 6",
    ),
    "mask": (
        call(ops.bilinear_attention, w=ONE((7, 4)), mask=ONE((4, 5), bool)),
        r"mask of shape \(4, 5\) does not broadcast",
    ),
    "values": (
        lambda: ops.bilinear_attention(*INPUTS[:2], ONE((4, 2)), w=ONE((7, 4))),
        "key has 5 tokens and value has 4",
    ),
}


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("case", CASES)
def test_what_does_not_fit_is_refused(case):
    attend, message = CASES[case]
    with pytest.raises(ValueError, match=message):
        attend()


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    "normalizer",
    [ops.sparsemax, ops.entmax15, ops.entmax, ops.sigmoid, ops.exponential, ops.softmax_with_sink,
     ops.top_k_softmax, ops.soft_monotonic, ops.hard_monotonic],
)  # fmt: skip
def test_normalizers_refuse_masks_that_are_none(normalizer):
    with pytest.raises(TypeError, match="mask must be boolean"):
        normalizer(ONE((3, 5)), mask=ONE((3, 5)))
    with pytest.raises(ValueError, match=r"mask of shape \(4,\) does not broadcast"):
        normalizer(ONE((3, 5)), mask=ONE(4, bool))
