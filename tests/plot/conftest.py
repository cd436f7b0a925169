import numpy as np
import pytest

from attn_jax import ops


@pytest.fixture
def summary_of():
    """Summaries of the sizes asked for, of random numbers that summaries may hold."""

    def make(*, heads, queries, top, batch=(), pooled=(128, 128)):
        rng = np.random.default_rng(0)

        def line():
            return rng.random((*batch, heads, queries), np.float32)

        weights = -np.sort(-rng.dirichlet(np.ones(32), (*batch, heads, queries))[..., :top])
        return ops.AttentionSummary(
            log_normalizer=line(),
            entropy=line(),
            max_logit=line(),
            top_weights=weights.astype(np.float32),
            top_indices=rng.integers(0, queries, weights.shape),
            received=line(),
            distance=line(),
            pooled=rng.random((*batch, heads, *pooled)) / queries,
        )

    return make
