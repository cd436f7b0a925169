"""Each verb of circuits that TransformerLens has too, compared with what it gave."""

import jax.numpy as jnp
import numpy as np

from attn_jax import circuits

TOLERANCE = 1e-4


def close(x, expected):
    np.testing.assert_allclose(np.asarray(x), expected, rtol=0, atol=TOLERANCE)


def run_of(model):
    """A checkpoint as a function of tokens."""
    return lambda tokens: model({"tokens": tokens})


def logit_lens(model, golden):
    lens = circuits.logit_lens(run_of(model), jnp.asarray(golden["tokens"]))
    close(lens.values, golden["lens"])
    close(lens.values[-1], golden["logits"])


def ablation(model, golden):
    tokens, metric = jnp.asarray(golden["tokens"]), circuits.logit_difference(*pair_of(golden))
    close(circuits.ablate_heads(run_of(model), tokens, metric).values, golden["ablation"])


def patching(model, golden):
    texts = (jnp.asarray(golden[name]) for name in ("tokens", "corrupted"))
    metric = circuits.logit_difference(*pair_of(golden))
    patched = circuits.activation_patching(run_of(model), *texts, metric, points="*.residual")
    close(patched.values, golden["patching"])


def direct_attribution(model, golden):
    right, wrong = pair_of(golden)
    shares = circuits.direct_logit_attribution(
        run_of(model),
        jnp.asarray(golden["tokens"]),
        lambda logits: (logits[..., right] - logits[..., wrong]).sum(),
        keep=("batch", "position"),
    )
    close(shares.heads.values, golden["direct/heads"])
    close(shares.mlps.values, golden["direct/mlps"])
    close(shares.embeddings.values[0], golden["direct/embeddings"])
    close(shares.remainder, 0)


def head_scores(model, golden):
    """TransformerLens divides by all queries, not by those that have such a key."""
    tokens = golden["tokens"]
    scores = circuits.head_scores(run_of(model), jnp.asarray(tokens))
    queries = {"previous_token": np.ones(tokens.shape, bool)}
    queries["previous_token"][:, 0] = False
    earlier = np.tril(tokens[:, :, None] == tokens[:, None, :], -1)
    queries["duplicate_token"] = queries["induction"] = earlier.any(-1)
    for name, asking in queries.items():
        close(scores[name].values * asking.mean(), golden[f"score/{name}"])


def composition(model, golden):
    matrices = model.head_matrices(fold="attention_norm")
    for kind in ("query", "key", "value"):
        scores = circuits.composition_scores(*matrices, kind=kind)
        close(scores.values, golden[f"composition/{kind[0].upper()}"])


def pair_of(golden):
    """The tokens whose logits are compared."""
    return map(int, golden["difference"])


CHECKS = (logit_lens, ablation, patching, direct_attribution, head_scores, composition)
