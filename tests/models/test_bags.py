import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_jax import nn
from attn_jax.models import BagClassifier, PatchStem

MODEL = BagClassifier(
    stem=PatchStem(features=(3,), sizes=(5,), strides=(7,)), features=11, num_classes=2
)
IMAGE = jax.random.uniform(jax.random.key(0), (3, 5, 28, 28))
PRESENT = jnp.arange(5)[None] < jnp.array([5, 3, 1])[:, None]


@pytest.fixture(scope="module")
def variables(draw_variables):
    return draw_variables(MODEL, IMAGE, PRESENT)


def test_neither_padding_nor_order_matters(variables):
    apply = jax.jit(MODEL.apply)
    logits = apply(variables, IMAGE, PRESENT)
    noise = jnp.where(PRESENT[..., None, None], IMAGE, 9.0)
    np.testing.assert_allclose(apply(variables, noise, PRESENT), logits, atol=1e-6)
    order = jnp.array([3, 0, 4, 1, 2])
    turned = apply(variables, IMAGE[:, order], PRESENT[:, order])
    np.testing.assert_allclose(turned, logits, atol=1e-5)
    alone = apply(variables, IMAGE[1:2, :3], jnp.ones((1, 3), bool))
    np.testing.assert_allclose(alone, logits[1:2], atol=1e-5)


def test_its_weights_are_shares_of_what_is_there(variables):
    _, weights = nn.apply_with_weights(MODEL, variables, IMAGE, PRESENT)
    (map_,) = weights.values()
    assert list(weights) == ["pooling.attention.weights"]
    np.testing.assert_allclose(map_.sum(-1), 1, atol=1e-6)
    assert (np.asarray(map_[:, 0])[~np.asarray(PRESENT)] == 0).all()


def test_the_number_of_classes_must_be_known():
    with pytest.raises(ValueError, match="num_classes=None must be a number"):
        BagClassifier().init(jax.random.key(0), IMAGE, PRESENT)
