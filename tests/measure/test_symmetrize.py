"""Two directions joined into one alignment, against the published pseudo-code as loops on sets."""

import itertools
import re

import jax.numpy as jnp
import numpy as np
import pytest

from attn_jax import measure

METHODS = ("intersection", "union", "grow-diag-final", "grow-diag-final-and")
NEIGHBORS = ((-1, 0), (0, -1), (1, 0), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1))


def table(text):
    return np.array([[c == "x" for c in row] for row in text.split()])


def joined(forward, backward, method, shape):
    """The pseudo-code of Koehn et al., on sets of (English, foreign)."""
    if method == "intersection":
        return forward & backward
    if method == "union":
        return forward | backward
    english, foreign = map(range, shape)
    alignment = forward & backward

    def is_aligned(word, side):
        return any(point[side] == word for point in alignment)

    while True:
        added = False
        for e, f in itertools.product(english, foreign):
            if (e, f) in alignment:
                for de, df in NEIGHBORS:
                    new = (e + de, f + df)
                    if (
                        (not is_aligned(new[0], 0) or not is_aligned(new[1], 1))
                        and new in forward | backward
                        and new not in alignment
                    ):
                        alignment = alignment | {new}
                        added = True
        if not added:
            break
    for direction in (forward, backward):
        for e, f in itertools.product(english, foreign):
            free = not is_aligned(e, 0), not is_aligned(f, 1)
            is_allowed = all(free) if method == "grow-diag-final-and" else any(free)
            if is_allowed and (e, f) in direction:
                alignment = alignment | {(e, f)}
    return alignment


def as_set(links):
    return {(int(e), int(f)) for e, f in np.argwhere(links)}


@pytest.mark.parametrize("method", METHODS)
def test_joined_links_are_those_of_the_published_loops(method):
    rng = np.random.default_rng(0)
    for shape in ((5, 7), (7, 3), (1, 4), (2, 2)):
        for density in (0.1, 0.25, 0.5):
            forward, backward = rng.random((2, 11, *shape)) < density
            result = measure.symmetrize(forward, backward, method)
            assert result.shape == forward.shape
            for links, one, other in zip(result, forward, backward, strict=True):
                assert as_set(links) == joined(as_set(one), as_set(other), method, shape)


def test_directions_of_argmax_links_by_hand():
    forward = table("x... .x.. .x.. ...x")
    backward = table("x... .xx. .... x..x")
    expected = {
        "intersection": "x... .x.. .... ...x",
        "union": "x... .xx. .x.. x..x",
        # Beside (1, 1), one word of (1, 2) and one of (2, 1) is free; of (3, 0), none.
        "grow-diag-final": "x... .xx. .x.. ...x",
        "grow-diag-final-and": "x... .xx. .x.. ...x",
    }
    for method, links in expected.items():
        np.testing.assert_array_equal(measure.symmetrize(forward, backward, method), table(links))


def test_the_last_step_needs_one_free_word_or_two():
    # Nothing is beside the only common link, so what is added is added last.
    forward, backward = table("x.... ..... ..x.. ....x"), table("x.... ..... ....x .....")
    last = measure.symmetrize(forward, backward, "grow-diag-final")
    both = measure.symmetrize(forward, backward)
    np.testing.assert_array_equal(last, table("x.... ..... ..x.. ....x"))
    np.testing.assert_array_equal(both, table("x.... ..... ..x.. ....x"))
    forward = table("x.x.. ..... ..... ....x")
    np.testing.assert_array_equal(
        measure.symmetrize(forward, backward, "grow-diag-final"),
        table("x.x.. ..... ....x ....x"),
    )
    np.testing.assert_array_equal(
        measure.symmetrize(forward, backward), table("x.... ..... ..... ....x")
    )


def test_arrays_of_jax_any_batch_and_no_words_are_taken():
    links = jnp.ones((2, 3, 4, 5), bool)
    assert measure.symmetrize(links, links).all()
    assert measure.symmetrize(np.ones((0, 2, 3), bool), np.ones((0, 2, 3), bool)).shape == (0, 2, 3)
    assert measure.symmetrize(np.ones((2, 0, 3), bool), np.ones((2, 0, 3), bool)).shape == (2, 0, 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.ones((2, 3), bool), np.ones((3, 2), bool)), "forward has shape (2, 3) and backward"),
        ((np.ones((2, 2), bool),) * 2 + ("grow",), "method='grow' must be one of intersection"),
    ],
    ids=["shapes", "method"],
)
def test_what_does_not_fit_is_refused(arguments, message, unchecked):
    with pytest.raises(ValueError, match=re.escape(message)):
        measure.symmetrize(*arguments)
