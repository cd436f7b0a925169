"""The verbs of circuits, against TransformerLens on the same weights."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from pretrained_folder import golden_arrays, write_golden

from attn_jax import circuits, pretrained

TOLERANCE = 1e-4


@pytest.fixture(scope="module", params=["gpt2", "llama", "gpt2-scanned"])
def pair(request, tmp_path_factory):
    """A checkpoint as a function of tokens, the checkpoint itself, and the golden values."""
    name, _, scanned = request.param.partition("-")
    folder = write_golden(name, tmp_path_factory.mktemp(name))
    model = pretrained.load(folder, scan=bool(scanned))
    golden = np.load(Path(__file__).parent / f"circuits_lenses_{name}.npz")
    return lambda tokens: model({"tokens": tokens}), model, golden


def close(x, expected):
    np.testing.assert_allclose(np.asarray(x), expected, rtol=0, atol=TOLERANCE)


def test_the_logit_lens(pair):
    fn, _, golden = pair
    lens = circuits.logit_lens(fn, jnp.asarray(golden["tokens"]))
    close(lens.values, golden["lens"])
    close(lens.values[-1], golden["logits"])


def test_ablation_and_patching(pair):
    fn, _, golden = pair
    tokens, corrupted = jnp.asarray(golden["tokens"]), jnp.asarray(golden["corrupted"])
    metric = circuits.logit_difference(*map(int, golden["difference"]))
    close(circuits.ablate_heads(fn, tokens, metric).values, golden["ablation"])
    patched = circuits.activation_patching(fn, tokens, corrupted, metric, points="*.residual")
    close(patched.values, golden["patching"])


def test_direct_attribution_of_a_difference_of_logits(pair):
    fn, _, golden = pair
    right, wrong = golden["difference"]
    shares = circuits.direct_logit_attribution(
        fn,
        jnp.asarray(golden["tokens"]),
        lambda logits: (logits[..., right] - logits[..., wrong]).sum(),
        keep=("batch", "position"),
    )
    close(shares.heads.values, golden["direct/heads"])
    close(shares.mlps.values, golden["direct/mlps"])
    close(shares.embeddings.values[0], golden["direct/embeddings"])
    close(shares.remainder, 0)


@pytest.mark.parametrize("name", ["previous_token", "duplicate_token", "induction"])
def test_scores_of_heads(pair, name):
    """TransformerLens divides by all queries, not by those that have such a key."""
    fn, _, golden = pair
    tokens = golden["tokens"]
    scores = circuits.head_scores(fn, jnp.asarray(tokens))
    queries = {"previous_token": np.ones(tokens.shape, bool)}
    queries["previous_token"][:, 0] = False
    earlier = np.tril(tokens[:, :, None] == tokens[:, None, :], -1)
    queries["duplicate_token"] = queries["induction"] = earlier.any(-1)
    close(scores[name].values * queries[name].mean(), golden[f"score/{name}"])


@pytest.mark.parametrize("kind", ["query", "key", "value"])
def test_composition(pair, kind):
    _, model, golden = pair
    scores = circuits.composition_scores(*model.head_matrices(fold="attention_norm"), kind=kind)
    close(scores.values, golden[f"composition/{kind[0].upper()}"])


@pytest.mark.parametrize("name", ["bert", "t5", "whisper"])
def test_shares_add_up_in_other_families(name, tmp_path):
    """Normalized after each part, without biases, and with cross-attention."""
    model = pretrained.load(write_golden(name, tmp_path))
    shares = circuits.direct_logit_attribution(
        model, golden_arrays(name, "input"), lambda out: (out[..., 3] - out[..., 5]).sum()
    )
    tables = (shares.heads, shares.mlps, shares.embeddings)
    total = sum(float(np.asarray(table).sum()) for table in tables) + float(shares.bias)
    close(total, float(shares.metric))
