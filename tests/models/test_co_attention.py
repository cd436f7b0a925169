"""Co-attention of questions and pictures: what the weights are over, and what they may see."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_jax.hooks import capture, intervene
from attn_jax.models import CoAttentionNetwork, PatchStem

MODEL = CoAttentionNetwork(
    stem=PatchStem((7,), (5,), (4,)),
    features=6,
    rounds=2,
    vocabulary=13,
    num_words=5,
    num_answers=11,
)
IMAGE = jax.random.uniform(jax.random.key(0), (2, 12, 20, 3))
QUESTION = jnp.array([[[4, 5, 6, 0, 0], [7, 8, 0, 0, 0], [0] * 5], [[9, 4, 5, 6, 7]] * 3])


@pytest.fixture(scope="module")
def variables(draw_variables):
    return draw_variables(MODEL, IMAGE, QUESTION)


@pytest.fixture(scope="module")
def apply():
    return jax.jit(MODEL.apply)


def test_each_round_attends_to_existing_words_and_to_all_cells(variables):
    patterns = [MODEL.cells_pattern, MODEL.words_pattern]
    logits, weights = jax.jit(capture(MODEL.apply, patterns))(variables, IMAGE, QUESTION)
    assert MODEL.grid((12, 20)) == (3, 5)
    assert logits.shape == (2, 2, 3, 11)
    names = [f"round.{turn}.{part}.weights" for turn in range(2) for part in ("cells", "words")]
    assert sorted(weights) == names
    exists = np.asarray(QUESTION != 0)
    for turn in range(2):
        cells, words = (weights[name] for name in names[2 * turn : 2 * turn + 2])
        assert cells.shape == (2, 3, 15)
        np.testing.assert_allclose(cells.sum(-1), 1, atol=1e-5)
        assert words.shape == (2, 3, 1, 5)
        np.testing.assert_allclose(words.sum(-1)[exists.any(-1)], 1, atol=1e-5)
        assert not np.where(exists[:, :, None], 0, words).any()


def test_questions_about_a_picture_do_not_see_each_other(variables, apply):
    others = QUESTION.at[:, 0].set(12).at[:, 2].set(3)
    one, other = apply(variables, IMAGE, QUESTION), apply(variables, IMAGE, others)
    np.testing.assert_allclose(one[:, :, 1], other[:, :, 1], atol=1e-5)
    assert np.abs(one[:, :, 0] - other[:, :, 0]).max() > 1e-3


def test_the_order_of_words_counts(variables, apply):
    turned = apply(variables, IMAGE, QUESTION[:, :, ::-1])
    assert np.abs(turned - apply(variables, IMAGE, QUESTION))[:, 1].max() > 1e-3


def test_an_answer_is_read_after_each_round(variables, apply):
    blind = jax.jit(intervene(MODEL.apply, {"round.1.*.weights": lambda w, site: 0 * w}))
    one, other = apply(variables, IMAGE, QUESTION), blind(variables, IMAGE, QUESTION)
    np.testing.assert_allclose(one[0], other[0], atol=1e-6)
    assert np.abs(one[1] - other[1]).max() > 1e-3


def test_sizes_must_be_known():
    with pytest.raises(ValueError, match="num_answers=None must be a number"):
        CoAttentionNetwork().init(jax.random.key(0), IMAGE, QUESTION)
