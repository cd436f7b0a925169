"""Random calls of the compiled kernels beside float64; run as a script, in a process of its own.

`python kernel_cases.py FOLDER CASES SEED` adds FOLDER, with the package built, to the path and
prints the instruction set, the largest error, and a digest of results, as JSON.
"""

import hashlib
import json
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from reference_attention import Reference

SIZES = (1, 2, 3, 5, 7, 12, 24, 31, 48, 49, 97, 127, 128, 131, 193, 259)
FEATURES = (1, 3, 8, 16, 17, 32, 40, 64, 72)
EVERY = {"entropy": True, "max_logit": True, "distance": True, "received": True}
STATIC = ("causal", "window", "scale", "softcap")
# To compile takes longer than to compute: so many calls differ by nothing but their numbers.
CALLS_A_PROGRAM = 4


def draw(kind, rng):
    """Return the arrays, the options and the cotangent of a random call.

    Scores stay within about 30: beyond, they are themselves rounded to more than the tolerance.

    Args:
        kind: Draws shapes and options.
        rng: Draws numbers.
    """
    batch = [(), (1,), (2,), (3, 2)][kind.integers(4)]
    key_heads, group = kind.integers(1, 4), kind.integers(1, 4)
    queries, keys = kind.choice(SIZES, 2)
    d, e = kind.choice(FEATURES, 2)
    heads = key_heads * group
    scores = *batch, heads, queries, keys

    def normal(*shape):
        return rng.standard_normal(shape, np.float32)

    def of_pairs():
        """A shape of the rank of the scores, with ones; or of one or two axes."""
        axes = scores[kind.integers(-2, 0) :] if kind.random() < 0.3 else scores
        return tuple(n if kind.random() < 0.7 else 1 for n in axes)

    def bias(shape):
        return np.where(rng.random(shape) < 0.2, np.float32(-np.inf), normal(*shape))

    def segments(tokens):
        return np.sort(rng.integers(0, 4, (*batch, tokens), np.int32), axis=-1)

    choices = {
        "causal": lambda: True,
        "window": lambda: tuple(int(x) for x in kind.integers(0, 150, 2)),
        "query_offset": lambda: np.int32(rng.integers(-60, 200)),
        "scale": lambda: float(kind.choice([0.0, 0.5, 1.5]) / d**0.5),
        "softcap": lambda: float(kind.choice([0.5, 5.0, 50.0])),
        "mask": lambda: rng.random(of_pairs()) < 0.6,
        "key_mask": lambda: rng.random((*batch, keys)) < 0.7,
        "bias": lambda: bias(of_pairs()),
        "segment_ids": lambda: (segments(queries), segments(keys)),
        "sinks": lambda: normal(heads),
    }
    options = {name: make() for name, make in choices.items() if kind.random() < 0.25}
    arrays = {
        "query": np.float32(rng.choice([0, 1, 3])) * normal(*batch, queries, heads, d),
        "key": normal(*batch, keys, key_heads, d),
        "value": normal(*batch, keys, key_heads, e),
    }
    return arrays, options, normal(*batch, queries, heads, e)


def tiles_of(num_queries, num_keys):
    """Return numbers of tiles, which do not divide most lengths."""
    return min(13, num_queries), min(29, num_keys)


def program(**static):
    """Return a function of floats, other operands and a cotangent, with these options."""
    from attn_jax.ops import Summary, streaming_attention

    @jax.jit
    def everything(floats, operands, toward):
        def attend(floats):
            sizes = floats["query"].shape[-3], floats["key"].shape[-3]
            fields = Summary(**EVERY, top_k=min(6, sizes[1]), pooled=tiles_of(*sizes))
            given = static | operands | floats | {"summary": fields}
            return streaming_attention(**given, implementation="kernel")

        context, pull, summary = jax.vjp(attend, floats, has_aux=True)
        return context, summary, pull(toward)[0]

    return everything


def errors(compute, arrays, options, toward):
    """Return the errors of the context, its gradients and its summary against float64."""
    floats = arrays | {x: y for x, y in options.items() if x in ("bias", "sinks")}
    operands = {x: y for x, y in options.items() if x not in (*STATIC, *floats)}
    given = jax.tree.map(jnp.asarray, (floats, operands, toward))
    context, summary, gradients = compute(*given)
    reference = Reference(**arrays, **_one_mask(options))
    fields = reference.summary(tiles_of(reference.num_queries, reference.num_keys))
    found = {name: _error(getattr(summary, name), fields[name]) for name in (*EVERY, "pooled")}
    found["top"] = _error(summary.top_weights, _largest(reference, summary.top_indices))
    found["context"] = _error(context, reference.context)
    found["log_normalizer"] = _error(summary.log_normalizer, reference.log_normalizer)
    expected = reference.gradients(toward)
    # The terms of a gradient's sums cancel: its error is one of its largest numbers.
    return found | {
        f"of {name}": _error(x, expected[name], np.abs(expected[name]).max(initial=0))
        for name, x in gradients.items()
    }


def _largest(reference, keys):
    """Return the largest weights, after checking that these are their keys."""
    keys = np.asarray(keys)
    largest = -np.sort(-reference.weights, axis=-1)[..., : keys.shape[-1]]
    at_keys = np.take_along_axis(reference.weights, np.maximum(keys, 0), axis=-1)
    return np.where(np.abs(np.where(keys < 0, 0, at_keys) - largest) < 1e-5, largest, np.nan)


def _one_mask(options):
    """Join the mask of the keys, which the reference does not know, with that of the pairs."""
    rest = {name: x for name, x in options.items() if name != "key_mask"}
    if "key_mask" not in options:
        return rest
    return rest | {"mask": options["key_mask"][..., None, None, :] & rest.get("mask", True)}


def _error(actual, expected, size=1.0):
    """Return the largest error relative to max(1, size, |expected|); equal infinities have none."""
    actual, expected = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    assert actual.shape == expected.shape
    with np.errstate(invalid="ignore"):
        apart = np.abs(actual - expected) / np.maximum(max(1.0, size), np.abs(expected))
    return float(np.where(actual == expected, 0, apart).max(initial=0))


def run(cases, seed):
    """Return the largest error of so many random calls, and the call that had it."""
    worst = (0.0, "")
    for number in range(cases):
        shared = number // CALLS_A_PROGRAM
        given = draw(np.random.default_rng([seed, shared]), np.random.default_rng([seed, number]))
        arrays, options, _ = given
        if number % CALLS_A_PROGRAM == 0:
            compute = program(**{name: options[name] for name in STATIC if name in options})
        found = errors(compute, *given)
        name = max(found, key=lambda name: (np.isnan(found[name]), found[name]))
        shapes = {name: x.shape for name, x in arrays.items()}
        where = f"seed {seed}, case {number}: {name}, {shapes}, {sorted(options)}"
        assert np.isfinite(found[name]), where
        worst = max(worst, (found[name], where))
    return worst


def digest():
    """Return a digest of results that several threads share in computing."""
    from attn_jax.ops import Summary, streaming_attention

    rng = np.random.default_rng(3)
    arrays = [jnp.asarray(rng.standard_normal((2, 2100, n, 24)), jnp.float32) for n in (4, 2, 2)]

    # Both heads and sequences share the bias, whose gradient they add to in turn.
    arrays.append(jnp.asarray(rng.standard_normal((2100, 2100)), jnp.float32))

    def attend(query, key, value, bias):
        fields = Summary(**EVERY, top_k=9, pooled=(19, 31))
        options = {"causal": True, "summary": fields, "implementation": "kernel"}
        return streaming_attention(query, key, value, bias=bias, **options)

    def everything(*arrays):
        context, pull, summary = jax.vjp(attend, *arrays, has_aux=True)
        return context, summary, pull(context)

    results = jax.tree.leaves(jax.jit(everything)(*arrays))
    return hashlib.sha256(b"".join(np.asarray(x).tobytes() for x in results)).hexdigest()


if __name__ == "__main__":
    folder, cases, seed = sys.argv[1], *map(int, sys.argv[2:])
    sys.path.insert(0, folder)
    import attn_jax_cpu

    worst, where = run(cases, seed)
    report = {"isa": attn_jax_cpu.isa(), "worst": worst, "where": where, "digest": digest()}
    print(json.dumps(report))
