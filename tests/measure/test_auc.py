import jax
import numpy as np

from attn_jax import measure


def test_it_is_the_share_of_pairs_in_the_right_order():
    rng = np.random.default_rng(0)
    for ties in (False, True):
        scores = rng.normal(size=101).astype(np.float32)
        scores = np.round(scores) if ties else scores
        positive, mask = rng.random((2, 101)) < np.array([[0.3], [0.8]])
        pairs = [
            (scores[i] > scores[j]) + 0.5 * (scores[i] == scores[j])
            for i in np.flatnonzero(positive & mask)
            for j in np.flatnonzero(~positive & mask)
        ]
        result = jax.jit(measure.roc_auc)(scores, positive, mask)
        np.testing.assert_allclose(result, np.mean(pairs), atol=1e-6)


def test_one_kind_alone_has_none():
    assert np.isnan(measure.roc_auc(np.ones(3, np.float32), np.ones(3, bool)))
