"""Streaming attention beside PyTorch's flex attention, which has windows, caps and segments.

It has no gradients on a CPU; those of streaming are compared in `test_structure`.
"""

import os

import jax.numpy as jnp
import numpy as np
import pytest

from attn_jax.ops import Summary, streaming_attention

torch = pytest.importorskip("torch", reason="not in this environment; `make parity` has it")
flex = pytest.importorskip("torch.nn.attention.flex_attention")

SEED = int(os.environ.get("PARITY_SEED", np.random.SeedSequence().entropy % 2**32))


def window(rng, queries, keys):
    """Each query sees the key at its own position, at least."""
    left, right, offset = (int(n) for n in rng.integers(0, (9, 9, keys - queries + 1)))

    def modify(score, batch, head, i, j):
        away = j - i - offset
        return torch.where((away >= -left) & (away <= right), score, -torch.inf)

    return {"window": (left, right), "query_offset": offset}, modify


def softcap(rng, queries, keys):
    bound = float(rng.uniform(0.5, 5))

    def modify(score, batch, head, i, j):
        return torch.where(j <= i, bound * torch.tanh(score / bound), -torch.inf)

    return {"softcap": bound, "causal": True}, modify


def segments(rng, queries, keys):
    """Three, each of which has a key."""
    of_queries = rng.integers(0, 3, (2, queries))
    of_keys = np.concatenate([[[0, 1, 2]] * 2, rng.integers(0, 3, (2, keys - 3))], axis=1)
    theirs = torch.tensor(of_queries), torch.tensor(of_keys)

    def modify(score, batch, head, i, j):
        return torch.where(theirs[0][batch, i] == theirs[1][batch, j], score, -torch.inf)

    return {"segment_ids": (jnp.asarray(of_queries), jnp.asarray(of_keys))}, modify


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
@pytest.mark.parametrize("trial", range(3))
@pytest.mark.parametrize("case", [window, softcap, segments])
def test_it_gives_what_flex_attention_gives(case, trial):
    print(f"PARITY_SEED={SEED}")
    rng = np.random.default_rng([SEED, trial])
    queries, more, dim = (int(n) for n in rng.integers((20, 0, 2), (40, 20, 9)))
    sizes = (queries, 6), (queries + more, 3), (queries + more, 3)
    arrays = [rng.normal(size=(2, *size, dim)).astype(np.float32) for size in sizes]
    options, modify = case(rng, queries, queries + more)
    context, found = streaming_attention(
        *map(jnp.asarray, arrays), **options, block_sizes=(16, 8), summary=Summary()
    )
    expected, aux = flex.flex_attention(
        *(torch.tensor(x).double().transpose(1, 2) for x in arrays),
        score_mod=modify,
        enable_gqa=True,
        return_aux=flex.AuxRequest(lse=True),
    )
    np.testing.assert_allclose(context, expected.transpose(1, 2), atol=1e-5, rtol=1e-5)
    np.testing.assert_allclose(found.log_normalizer, aux.lse, atol=1e-5, rtol=1e-5)
