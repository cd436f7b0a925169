"""A case for each public function of `ops`: formulas in float64, written from their papers."""

import math

import jax
import numpy as np
from cases import (
    B,
    Case,
    D,
    E,
    H,
    K,
    Q,
    close,
    double,
    draws,
    equal,
    finite,
    floats,
    mask,
    pick,
    softmax64,
    visible,
    weights,
)

from attn_jax import ops

A = 5
SCORES = (B, Q, K)
HEAD_SCORES = (B, H, Q, K)


def sigmoid(x):
    return np.exp(-np.logaddexp(0, -double(x)))


def tokens(d_q=D, d_k=D, **parameters):
    """Query, key and value with masks, and parameters."""

    def arguments(draw):
        drawn = {name: part(draw) for name, part in parameters.items()}
        drawn |= {"query": draw.floats(B, Q, d_q), "key": draw.floats(B, K, d_k)}
        drawn |= {"value": draw.floats(B, K, E), **draw.masks(*SCORES)}
        return draw.spoil(drawn, SCORES, "key", "value")

    return arguments


def attends(scores_of, normalize=lambda scores, seen, **_: softmax64(scores, seen)):
    """Check context and weights against scores in float64; a mask may depend on parameters."""

    def check(result, *, query, key, value, mask=None, bias=None, key_mask=None, **rest):
        scores = scores_of(double(query), finite(key), **rest)
        seen = visible(scores.shape, mask, bias, key_mask)
        scores = scores + (0 if bias is None else np.where(np.isfinite(bias), double(bias), 0))
        expected = normalize(scores, seen, query=double(query), key_mask=key_mask, **rest)
        close(result[1], expected)
        close(result[0], expected @ finite(value))

    return check


def scored(scores_of):
    return lambda result, query, key, **rest: close(
        result, scores_of(double(query), double(key), **rest)
    )


def pair(d_q=D, d_k=D, **parameters):
    return draws(query=floats(B, Q, d_q), key=floats(B, K, d_k), **parameters)


# Scores.


def dot(query, key):
    return query @ np.swapaxes(key, -1, -2)


def scaled(query, key, scale=None):
    return dot(query, key) * (query.shape[-1] ** -0.5 if scale is None else scale)


def additive(query, key, *, w_query, w_key, v, b=None, block_size=None):
    hidden = (query @ double(w_query))[..., :, None, :] + (key @ double(w_key))[..., None, :, :]
    return np.tanh(hidden + (0 if b is None else double(b))) @ double(v)


def bilinear(query, key, *, w, **_):
    return dot(query @ double(w), key)


def pairs(query, key):
    shape = (*query.shape[:-1], key.shape[-2])
    one = np.broadcast_to(query[..., :, None, :], (*shape, query.shape[-1]))
    other = np.broadcast_to(key[..., None, :, :], (*shape, key.shape[-1]))
    return np.concatenate([one, other], -1)


def concat(query, key, *, w, v):
    return np.tanh(pairs(query, key) @ double(w)) @ double(v)


def feed_forward(query, key, *, layers):
    x = pairs(query, key)
    for w, b in layers[:-1]:
        x = np.tanh(x @ double(w) + double(b))
    w, b = layers[-1]
    return (x @ double(w) + double(b))[..., 0]


def cosine(query, key, *, temperature=1.0):
    lengths = [np.linalg.norm(x, axis=-1, keepdims=True) for x in (query, key)]
    one, other = (x / np.where(n == 0, 1, n) for x, n in zip((query, key), lengths, strict=True))
    return dot(one, other) / temperature


def location(query, key, *, w):
    return (query @ double(w))[..., : key.shape[-2]]


def features(state, filters):
    state, filters = double(state), double(filters)
    width = len(filters)
    padded = np.pad(state, [(0, 0)] * (state.ndim - 1) + [((width - 1) // 2, width // 2)])
    return sum(padded[..., r : r + state.shape[-1], None] * filters[r] for r in range(width))


def location_sensitive(query, key, *, state, w_location, filters, w_query, w_key, v, b=None):
    hidden = (query @ double(w_query))[..., :, None, :] + (key @ double(w_key))[..., None, :, :]
    hidden = hidden + features(state, filters) @ double(w_location)
    return np.tanh(hidden + (0 if b is None else double(b))) @ double(v)


def monotonic_score(query, key, *, v, gain=1.0, offset=0.0, w_query, w_key, b=None, **_):
    norm = np.linalg.norm(double(v))
    unit = double(v) / (norm if norm else 1)
    return gain * additive(query, key, w_query=w_query, w_key=w_key, v=unit, b=b) + offset


# Normalizers.


def reader(stop, seen, state=None):
    """Where a monotonic reader stops, summed over all its ways: Raffel 2017, equation 8."""
    weights = np.zeros(stop.shape)
    for batch in np.ndindex(*stop.shape[:-2]):
        before = np.eye(stop.shape[-1])[0] if state is None else double(state)[batch]
        for i, row in enumerate(stop[batch]):
            reached = 0.0
            for j, probability in enumerate(row):
                reached = (reached * (1 - row[j - 1]) if j else 0.0) + before[j]
                weights[(*batch, i, j)] = probability * reached
            before = weights[(*batch, i)] if seen[(*batch, i)].any() else before
    return weights


def soft_reader(scores, seen, state=None, **_):
    return reader(np.where(seen, sigmoid(scores), 0), seen, state)


def hard_reader(scores, seen, state=None, **_):
    return reader(np.where(seen, scores >= 0, 0).astype(float), seen, state)


def chunks(alignment, scores, seen, width):
    weights = np.zeros(alignment.shape)
    for *row, end in np.ndindex(alignment.shape):
        places = slice(max(0, end - width + 1), end + 1)
        share = softmax64(scores[(*row, places)], seen[(*row, places)])
        weights[(*row, places)] += alignment[(*row, end)] * share
    return weights


def mocha(scores, seen, *, query, state=None, width, chunk, **_):
    return chunks(soft_reader(scores, seen, state), chunk, seen, width)


def check_mocha(result, *, query, key, width, state=None, **rest):
    own = {n.removeprefix("chunk_"): x for n, x in rest.items() if n.startswith("chunk_")}
    chunk = additive(double(query), finite(key), **own)
    normalize = lambda *args, **kw: mocha(*args, width=width, chunk=chunk, **kw)  # noqa: E731
    attends(monotonic_score, normalize)(result, query=query, key=key, state=state, **rest)


def entmax(scores, seen, alpha):
    """Bisect the threshold, in float64: Peters et al. 2019, algorithm 1."""
    x = np.where(seen, (alpha - 1) * double(scores), -np.inf)
    top = x.max(-1, keepdims=True, initial=-np.inf)
    top = np.where(np.isfinite(top), top, 0)
    low, high, root = top - 1, top + 0, 1 / (alpha - 1)
    power = lambda t: np.where(seen, np.maximum(np.where(seen, x, 0) - t, 0), 0) ** root  # noqa: E731
    for _ in range(80):
        middle = (low + high) / 2
        is_low = power(middle).sum(-1, keepdims=True) >= 1
        low, high = np.where(is_low, middle, low), np.where(is_low, high, middle)
    weights = power(low)
    total = weights.sum(-1, keepdims=True)
    return weights / np.where(total == 0, 1, total)


def normalizes(formula):
    """Check weights of scores (B, K, K) with a mask of some rank."""

    def check(result, scores, *args, mask=None, **rest):
        seen = visible(scores.shape, mask)
        close(result, formula(double(scores), seen, *args, **rest))

    return check


def rows(**parameters):
    def arguments(draw):
        hidden = draw.pick(None, SCORES, (Q, K), (K,))
        drawn = {"scores": draw.floats(*SCORES)}
        drawn |= {name: part(draw) for name, part in parameters.items()}
        return drawn | {"mask": None if hidden is None else draw.mask(*hidden)}

    return arguments


def top_k(scores, seen, top_k):
    ranks = np.argsort(np.argsort(np.where(seen, -scores, np.inf), -1, kind="stable"), -1)
    return softmax64(scores, seen & (ranks < top_k))


def with_sink(scores, seen, sink=0.0):
    joined = np.concatenate([scores, np.broadcast_to(sink, (*scores.shape[:-1], 1))], -1)
    return softmax64(joined, np.concatenate([seen, seen[..., :1] | True], -1))[..., :-1]


# Heads, `(*b, tokens, heads, features)`.


def of_heads(x):
    return np.moveaxis(double(x), -2, -3)


def shared(x, heads):
    return np.repeat(x, heads // x.shape[-2], -2)


def head_scores(query, key, scale=None):
    return scaled(of_heads(query), of_heads(shared(key, query.shape[-2])), scale)


def heads(key_heads=(1, H), num_heads=H, **parameters):
    def arguments(draw):
        count = draw.pick(*key_heads)
        drawn = {"query": draw.floats(B, Q, num_heads, D), "key": draw.floats(B, K, count, D)}
        drawn |= {name: part(draw) for name, part in parameters.items()}
        return drawn

    return arguments


def fused(value=True, extra=None, whole=True):
    """The call of `attention`: masks, biases and every option."""

    def arguments(draw):
        drawn = heads()(draw) | draw.masks(*HEAD_SCORES)
        drawn["value"] = draw.floats(B, K, drawn["key"].shape[2], draw.pick(D, E))
        drawn = draw.spoil(drawn, HEAD_SCORES, "key", "value")
        drawn |= {
            "causal": draw.pick(False, True),
            "query_offset": draw.pick(0, 2),
            "window": draw.pick(None, None, 1, (2, 0)),
            "scale": draw.pick(None, 0.3),
            "softcap": draw.pick(None, 5.0),
        }
        if draw.pick(False, True):
            ids = draw.rng().integers(0, 2, (B, K + Q)).astype(np.int32)
            drawn["segment_ids"] = ids[:, :Q], ids[:, Q:]
        if whole:
            drawn["sinks"] = draw.floats(H) if draw.pick(False, True) else None
        if not value:
            del drawn["value"]
        return drawn | (extra(draw) if extra else {})

    return arguments


def fused_weights(
    query,
    key,
    *,
    mask=None,
    bias=None,
    key_mask=None,
    causal=False,
    query_offset=0,
    window=None,
    segment_ids=None,
    scale=None,
    softcap=None,
    sinks=None,
    **_,
):
    """Return the whole map, and the log-normalizer without sinks."""
    scores = head_scores(double(query), finite(key), scale)
    scores = scores if softcap is None else softcap * np.tanh(scores / softcap)
    seen = visible(scores.shape, mask, bias, key_mask)
    away = np.arange(scores.shape[-1]) - np.arange(scores.shape[-2])[:, None] - query_offset
    left, right = (window, window) if isinstance(window, int) else window or (np.inf, np.inf)
    seen = seen & (away >= -left) & (away <= (min(right, 0) if causal else right))
    if segment_ids is not None:
        seen = seen & (segment_ids[0][:, None, :, None] == segment_ids[1][:, None, None, :])
    scores = scores + (0 if bias is None else np.where(np.isfinite(bias), double(bias), 0))
    if sinks is None:
        return softmax64(scores, seen), scores, seen
    return with_sink(scores, seen, double(sinks)[:, None, None]), scores, seen


def weighed(weights, value):
    return np.moveaxis(weights @ of_heads(shared(finite(value), weights.shape[-3])), -3, -2)


def check_fused(result, *, query, key, value, **options):
    close(result, weighed(fused_weights(query, key, **options)[0], value))


def check_streamed(result, *, query, key, value, summary=None, block_sizes=None, **options):
    expected = fused_weights(query, key, **options)[0]
    if summary is not None:
        result, statistics = result
        close(statistics.entropy, -(expected * np.log(np.where(expected > 0, expected, 1))).sum(-1))
        close(statistics.received, expected.sum(-2))
        close(statistics.top_weights, -np.sort(-expected, -1)[..., : summary.top_k])
    close(result, weighed(expected, value))


def check_rows(result, *, query, key, rows, **options):
    close(result, fused_weights(query, key, **options)[0][..., rows, :])


def tile(draw):
    rows, columns = (draw.pick((0, n), (1, 3), (n - 1, n)) for n in (Q, K))
    return {"rows": rows, "columns": columns}


def call_tile(function, query, key, rows, columns, **options):
    """Give the tile the log-normalizer that goes with the call."""
    _, scores, seen = fused_weights(query, key, **options)
    scores = np.where(seen, scores, -np.inf)
    largest = scores.max(-1, keepdims=True)
    shift = np.where(np.isfinite(largest), largest, 0)
    with np.errstate(divide="ignore"):
        log_normalizer = np.log(np.exp(scores - shift).sum(-1)) + shift[..., 0]
    return function(
        query,
        key,
        log_normalizer=jax.numpy.asarray(log_normalizer, np.float32),
        rows=rows,
        columns=columns,
        **options,
    )


def check_tile(result, *, query, key, rows, columns, **options):
    whole = fused_weights(query, key, **options)[0]
    close(result, whole[..., slice(*rows), slice(*columns)])


def attention_fn(draw):
    drawn = heads(key_heads=(H,))(draw) | draw.masks(*HEAD_SCORES)
    drawn["value"] = draw.floats(B, K, H, D)
    drawn["is_causal"] = draw.pick(False, True)
    return draw.spoil(drawn, HEAD_SCORES, "key", "value")


def head_tokens(num_heads=H, **parameters):
    """Heads with values and masks for scores of so many heads."""

    def arguments(draw):
        drawn = {n: draw.floats(B, t, num_heads, D) for n, t in (("query", Q), ("key", K))}
        drawn |= {"value": draw.floats(B, K, H, E), **draw.masks(*HEAD_SCORES)}
        drawn |= {name: part(draw) for name, part in parameters.items()}
        return draw.spoil(drawn, HEAD_SCORES, "key", "value")

    return arguments


def biased(scores, bias=None, **_):
    return scores + (0 if bias is None else np.where(np.isfinite(bias), double(bias), 0))


def check_talking(result, *, query, key, value, w_scores, w_weights, scale=None, **masks):
    scores = np.einsum(
        "bhqk,hm->bmqk", head_scores(double(query), finite(key), scale), double(w_scores)
    )
    seen = visible(scores.shape, **masks)
    maps = softmax64(biased(scores, **masks), seen)
    expected = np.einsum("bhqk,hm->bmqk", maps, double(w_weights))
    close(result[1], expected)
    close(result[0], weighed(expected, value))


def subtracted(weights, lambda_):
    return weights[..., 0::2, :, :] - lambda_ * weights[..., 1::2, :, :]


def check_pairs(result, query, key, scale):
    """Heads 2i and 2i + 1 of the queries read a pair of the keys."""
    key = np.concatenate([key] * (query.shape[-2] // key.shape[-2]), -2)
    close(result, head_scores(query, key, scale))


def check_differential(result, *, query, key, value, lambda_, scale=None, **masks):
    scores = head_scores(double(query), finite(key), scale)
    doubled = {
        n: np.repeat(x, 2, 1) if x is not None and x.ndim == 4 else x for n, x in masks.items()
    }
    weights = softmax64(biased(scores, **doubled), visible(scores.shape, **doubled))
    expected = subtracted(weights, lambda_)
    close(result[1], expected)
    close(result[0], weighed(expected, value))


def check_multi_head(
    result, *, query, key, value, w_query, w_key, w_value, w_out, scale=None, **masks
):
    project = lambda x, w: np.einsum("btd,dhe->bthe", finite(x), double(w))  # noqa: E731
    scores = head_scores(project(query, w_query), project(key, w_key), scale)
    weights = softmax64(biased(scores, **masks), visible(scores.shape, **masks))
    close(result[1], weights)
    context = weighed(weights, project(value, w_value))
    close(result[0], np.einsum("bqhe,hem->bqm", context, double(w_out)))


def multi_head(draw):
    drawn = {
        "query": draw.floats(B, Q, D),
        "key": draw.floats(B, K, E),
        "value": draw.floats(B, K, D),
    }
    count = draw.pick(1, H)
    drawn |= {"w_query": draw.floats(D, H, 3), "w_key": draw.floats(E, count, 3)}
    drawn |= {"w_value": draw.floats(D, count, E), "w_out": draw.floats(H, E, D)}
    return draw.spoil(drawn | draw.masks(*HEAD_SCORES), HEAD_SCORES, "key", "value")


# Latents: c compressed features, r rotary ones.


def latent_keys(latent, rotary_key, w_key):
    keys = np.einsum("bkc,chd->bkhd", finite(latent), double(w_key))
    turned = np.repeat(finite(rotary_key)[:, :, None], keys.shape[2], 2)
    return np.concatenate([keys, turned], -1)


def latent(draw):
    drawn = {"query": draw.floats(B, Q, H, D), "rotary_query": draw.floats(B, Q, H, 2)}
    drawn |= {"latent": draw.floats(B, K, 3), "rotary_key": draw.floats(B, K, 2)}
    drawn |= {"w_key": draw.floats(3, H, D), "w_value": draw.floats(3, H, E)}
    return draw.spoil(drawn | draw.masks(*HEAD_SCORES), HEAD_SCORES, "latent", "rotary_key")


def check_latent(
    result, *, query, rotary_query, latent, rotary_key, w_key, w_value, scale=None, **masks
):
    queries = np.concatenate([double(query), double(rotary_query)], -1)
    scores = head_scores(queries, latent_keys(latent, rotary_key, w_key), scale)
    weights = softmax64(biased(scores, **masks), visible(scores.shape, **masks))
    close(result[1], weights)
    close(result[0], weighed(weights, np.einsum("bkc,che->bkhe", finite(latent), double(w_value))))


# Without weights: linear maps and approximations.


def linear(d_v=True, causal=True, **parameters):
    def arguments(draw):
        tokens = Q if not causal else K
        drawn = {"query": draw.floats(B, tokens, D), "key": draw.floats(B, K, D)}
        drawn |= {"value": draw.floats(B, K, E)} if d_v else {}
        drawn["key_mask"] = draw.mask(B, K) if draw.pick(True, False) else None
        drawn |= {name: part(draw) for name, part in parameters.items()}
        if causal:
            drawn["causal"] = draw.pick(False, True)
        names = ("key", "value") if d_v else ("key",)
        return draw.spoil(drawn, (B, tokens, K), *names)

    return arguments


def feature_weights(query, key, key_mask, causal):
    products = dot(query, key)
    seen = visible(products.shape, key_mask=key_mask)
    products = np.where(
        seen & (np.tri(*products.shape[-2:], dtype=bool) | (not causal)), products, 0
    )
    total = products.sum(-1, keepdims=True)
    return products / np.where(total == 0, 1, total)


def linear_map(query, key, key_mask=None, causal=False, **_):
    phi = lambda x: np.where(x > 0, x + 1, np.exp(np.minimum(x, 0)))  # noqa: E731
    return feature_weights(phi(double(query)), phi(finite(key)), key_mask, causal)


def performer_map(query, key, key_mask=None, causal=False, *, projection, **_):
    def phi(x, axes):
        x = x * x.shape[-1] ** -0.25
        exponents = x @ double(projection) - (x**2).sum(-1, keepdims=True) / 2
        return np.exp(exponents - exponents.max(axes, keepdims=True))

    return feature_weights(phi(double(query), -1), phi(finite(key), (-2, -1)), key_mask, causal)


def linformer_map(query, key, *, w_key, w_value, scale=None, key_mask=None, **_):
    exists = np.ones(key.shape[:-1], bool) if key_mask is None else key_mask
    keys = np.einsum("kp,bkd->bpd", double(w_key), finite(key) * exists[..., None])
    combined = softmax64(scaled(double(query), keys, scale))
    return (combined @ double(w_value).T) * exists[:, None]


def maps(map_of):
    return lambda result, **given: close(result, map_of(**given), 1e-3)


def contexts(map_of):
    return lambda result, value, **given: close(result, map_of(**given) @ finite(value), 1e-3)


def check_nystrom(result, *, query, key, value=None, key_mask=None, query_mask=None, **_):
    """With as many landmarks as tokens it is attention itself, if the inverse has converged."""
    assert np.isfinite(np.asarray(result)).all()
    assert result.shape == (B, K, K if value is None else E)
    hidden = np.zeros((B, K), bool) if key_mask is None else ~key_mask
    if value is None:
        equal(np.asarray(result)[np.broadcast_to(hidden[:, None], (B, K, K))], 0)


# Gates of images (B, h, w, c).


def bottleneck(z, w_squeeze, b_squeeze, w_excite, b_excite):
    return np.maximum(z @ double(w_squeeze) + double(b_squeeze), 0) @ double(w_excite) + double(
        b_excite
    )


def images(draw):
    drawn = {"x": draw.floats(B, 4, 6, 3), "w_squeeze": draw.floats(3, 2)}
    return drawn | {
        "b_squeeze": draw.floats(2),
        "w_excite": draw.floats(2, 3),
        "b_excite": draw.floats(3),
    }


def check_squeeze(result, x, **p):
    close(result, sigmoid(bottleneck(double(x).mean((1, 2)), **p)))


def check_channel(result, x, **p):
    both = (bottleneck(pool(double(x), (1, 2)), **p) for pool in (np.mean, np.max))
    close(result, sigmoid(sum(both)))


def check_spatial(result, x, kernel, b=None):
    pooled = np.stack([double(x).mean(-1), double(x).max(-1)], -1)
    padded = np.pad(pooled, ((0, 0), (1, 1), (1, 1), (0, 0)))
    logits = sum(
        padded[:, i : i + 4, j : j + 6] @ double(kernel)[i, j, :, 0] for i, j in np.ndindex(3, 3)
    )
    close(result, sigmoid(logits + (0 if b is None else double(b))))


def gate(draw):
    drawn = {
        "x": draw.floats(B, 4, 6, 3),
        "gating": draw.floats(B, 2, 3, 5),
        "w_x": draw.floats(2, 2, 3, A),
    }
    drawn |= {"w_gating": draw.floats(5, A), "b": draw.floats(A), "v": draw.floats(A)}
    return drawn | {"b_v": np.float32(0.4)}


def check_gate(result, x, gating, *, w_x, w_gating, b, v, b_v):
    """Between the centers of the coarse cells the gate is interpolated; it is checked in range."""
    x, coarse = double(x), double(gating) @ double(w_gating) + double(b)
    blocks = x.reshape(B, 2, 2, 3, 2, 3)
    hidden = np.einsum("bhrwsc,rsca->bhwa", blocks, double(w_x)) + coarse
    logits = np.maximum(hidden, 0) @ double(v) + b_v
    result = double(result)
    assert result.shape == x.shape[:-1]
    assert (
        (result >= sigmoid(logits).min() - 1e-4) & (result <= sigmoid(logits).max() + 1e-4)
    ).all()
    assert np.isfinite(result).all()


# Positions and masks.


def sizes(**parameters):
    return draws(num_queries=pick(1, Q), num_keys=pick(1, K), **parameters)


def away(num_queries, num_keys, query_offset=0):
    offset = np.asarray(query_offset)[..., None, None]
    return np.arange(num_keys) - np.arange(num_queries)[:, None] - offset


OFFSETS = pick(0, 2, -1, np.array([0, 3], np.int32))


def turned(x, angles, halves):
    """Turn pairs of features: (i, i + n) of halves, or (2i, 2i + 1)."""
    x = double(x)
    n = x.shape[-1] // 2
    one, other = (x[..., :n], x[..., n:]) if halves else (x[..., 0::2], x[..., 1::2])
    cosines, sines = np.cos(angles)[:, None], np.sin(angles)[:, None]
    parts = one * cosines - other * sines, other * cosines + one * sines
    if halves:
        return np.concatenate(parts, -1)
    return np.stack(parts, -1).reshape(x.shape)


def check_rotary(halves):
    def check(result, x, positions=None):
        frequencies = 10000.0 ** -(np.arange(0, D, 2) / D)
        places = np.arange(K) if positions is None else positions
        close(result, turned(x, places[:, None] * frequencies, halves))

    return check


def check_buckets(
    result, num_queries, num_keys, *, num_buckets, max_distance, causal, query_offset
):
    """Raffel 2020: small distances have a bucket each, larger ones share logarithmic ones."""

    def bucket(distance):
        side, count = 0, num_buckets
        if not causal:
            count //= 2
            side = count * (distance > 0)
            distance = abs(distance)
        else:
            distance = max(-distance, 0)
        exact = count // 2
        if distance < exact:
            return side + distance
        large = math.log(distance / exact) / math.log(max_distance / exact) * (count - exact)
        return side + min(exact + int(large + 1e-6), count - 1)

    offsets = away(num_queries, num_keys, query_offset)
    equal(result, np.vectorize(bucket)(offsets))


def layout(draw):
    drawn = {"num_queries": draw.pick(4, 6), "num_keys": draw.pick(4, 6), "block_size": 2}
    return drawn | {"layout": draw.mask(drawn["num_queries"] // 2, drawn["num_keys"] // 2)}


def check_alibi(result, num_queries, num_keys, *, num_heads, query_offset=0):
    slopes = 2.0 ** (-8 * np.arange(1, num_heads + 1) / num_heads)
    close(result, -np.abs(away(num_queries, num_keys, query_offset)) * slopes[:, None, None])


def check_prepared(result, *, query, key, value, num_heads=None, **masks):
    """No NaN survives where no query looks, and what is seen stays."""
    shape = HEAD_SCORES if query.ndim == 4 else SCORES
    seen = visible(shape, **masks).any(axis=tuple(range(1, len(shape) - 1)))
    for x, y in ((key, result.key), (value, result.value)):
        kept = np.where(seen.reshape(*seen.shape, *(1,) * (x.ndim - 2)), x, 0)
        equal(y, kept)
    equal(result.query, query)


def check_pair(result, *, first, second, query_mask, key_mask, **_):
    for own, other in ((first, result.query), (second, result.key)):
        assert own.shape == other.shape
        assert np.isfinite(np.asarray(other)).all()


def pair_inputs(draw):
    drawn = {"first": draw.floats(B, Q, D), "second": draw.floats(B, K, E)}
    drawn |= {"mask": None if draw.pick(True, False) else draw.mask(B, Q, K), "bias": None}
    return drawn | {"query_mask": draw.mask(B, Q), "key_mask": draw.mask(B, K)}


def check_co_attention(result, *, first, second, w, mask, bias, query_mask, key_mask):
    scores = double(first) @ double(w) @ np.swapaxes(double(second), -1, -2)
    seen = visible(scores.shape, mask, bias, key_mask) & query_mask[..., None]
    one, other = softmax64(scores, seen), softmax64(scores.swapaxes(-1, -2), seen.swapaxes(-1, -2))
    for given, expected, x in zip(result, (one, other), (second, first), strict=True):
        close(given[1], expected)
        close(given[0], expected @ double(x))


def check_co_weights(result, scores, mask=None):
    seen = visible(scores.shape, mask)
    close(result[0], softmax64(double(scores), seen))
    close(result[1], softmax64(double(scores).swapaxes(-1, -2), seen.swapaxes(-1, -2)))


# Alignments.


def mixture(query, *, w, b, state=None, **_):
    importance, precision, step = np.split(np.exp(query @ double(w) + double(b)), 3, -1)
    position = np.cumsum(step, -2) + (0 if state is None else double(state)[..., None, :])
    return importance, precision, position


def mixture_weights(query, key, **p):
    importance, precision, position = (x[..., None, :] for x in mixture(query, **p))
    places = np.arange(key.shape[-2])[:, None]
    return (importance * np.exp(-precision * (position - places) ** 2)).sum(-1)


def check_mixture(result, *, query, key, value, mask=None, bias=None, key_mask=None, **p):
    expected = mixture_weights(double(query), key, **p)
    seen = visible(expected.shape, mask, bias, key_mask)
    expected = np.where(seen, expected * np.exp(biased(0 * expected, bias)), 0)
    close(result[1], expected, 1e-3)
    close(result[0], expected @ finite(value), 1e-3)


def call_mixture_scores(function, query, w, b):
    return function(ops.gaussian_mixture(query, w=w, b=b), K)


def check_mixture_scores(result, query, w, b):
    expected = mixture_weights(double(query), np.zeros((B, K, 1)), w=w, b=b)
    close(np.exp(double(result)), expected, 1e-3)


def check_mixture_parts(result, query, w, b):
    importance, precision, position = mixture(double(query), w=w, b=b)
    close(result.log_importance, np.log(importance))
    close(result.precision, precision)
    close(result.position, position)


def near(scores, seen, *, half_width, query_offset=0, **_):
    return softmax64(scores, seen & (np.abs(away(Q, K, query_offset)) <= half_width))


def bell(scores, seen, *, query, half_width, w_position, v_position, key_mask=None, **_):
    length = K if key_mask is None else key_mask.sum(-1)[:, None]
    position = length * sigmoid(np.tanh(query @ double(w_position)) @ double(v_position))
    far = np.arange(K) - position[..., None]
    return softmax64(scores, seen & (np.abs(far) <= half_width)) * np.exp(
        -2 * (far / half_width) ** 2
    )


def small(*shape):
    return lambda draw: 0.3 * draw.floats(*shape)


# Parameters of an additive score; one scale keeps tanh away from its ends.
ENERGY = {"w_query": small(D, A), "w_key": small(D, A), "v": floats(A), "b": floats(A)}
READER = ENERGY | {"gain": pick(1.0, 2.5), "offset": pick(0.0, -1.0)}
CHUNK = {f"chunk_{name}": part for name, part in ENERGY.items()}
MIXTURE = {"w": small(D, 6), "b": small(6)}
TEMPERATURE = {"temperature": pick(1.0, 0.3)}
LAYERS = {
    "layers": lambda draw: [
        (draw.floats(D + D, 3), draw.floats(3)),
        (draw.floats(3, 1), draw.floats(1)),
    ]
}


def tanh_layers(function, **arguments):
    return function(**arguments, activation=jax.numpy.tanh)


def ready(_, **__):
    """Nothing is computed: a type, checked where it is used."""


TYPES = Case(lambda draw: {}, ready, lambda function: function)

OPS = {
    "AttentionSummary": TYPES,
    "GaussianMixture": TYPES,
    "Implementation": TYPES,
    "Inputs": TYPES,
    "Normalizer": TYPES,
    "Summary": TYPES,
    "absorbed_queries": Case(
        draws(query=floats(B, Q, H, D), rotary_query=floats(B, Q, H, 2), w_key=floats(3, H, D)),
        lambda result, query, rotary_query, w_key: close(
            result,
            np.concatenate(
                [np.einsum("bqhd,chd->bqhc", double(query), double(w_key)), double(rotary_query)],
                -1,
            ),
        ),
    ),
    "add_bias": Case(
        draws(scores=floats(*SCORES), bias=lambda d: d.masks(*SCORES)["bias"]),
        lambda result, scores, bias: close(result, scores if bias is None else scores + bias),
    ),
    "additive_attention": Case(tokens(**ENERGY, block_size=pick(None, 2)), attends(additive)),
    "additive_scores": Case(pair(**ENERGY, block_size=pick(None, 2)), scored(additive)),
    "alibi_bias": Case(sizes(num_heads=pick(2, 4), query_offset=pick(0, 2)), check_alibi),
    "alibi_slopes": Case(
        draws(num_heads=pick(1, 2, 8)),
        lambda result, num_heads: close(
            result, 2.0 ** (-8 * np.arange(1, num_heads + 1) / num_heads)
        ),
    ),
    "attend": Case(
        lambda draw: draw.spoil(
            {"scores": draw.floats(*SCORES), "value": draw.floats(B, K, E)} | draw.masks(*SCORES),
            SCORES,
            "value",
        ),
        lambda result, scores, value, **masks: [
            close(
                result[1], w := softmax64(biased(double(scores), **masks), visible(SCORES, **masks))
            ),
            close(result[0], w @ finite(value)),
        ],
    ),
    "attention": Case(
        fused(extra=lambda d: {"implementation": d.pick("auto", "xla", "streaming")}),
        lambda result, implementation, **given: check_fused(result, **given),
    ),
    "attention_fn": Case(
        attention_fn,
        lambda result, is_causal, **given: check_fused(result, causal=is_causal, **given),
    ),
    "attention_gate": Case(gate, check_gate),
    "attention_rows": Case(
        fused(value=False, extra=lambda d: {"rows": d.pick(np.array([1]), np.array([2, 0]))}),
        check_rows,
    ),
    "attention_tile": Case(fused(value=False, whole=False, extra=tile), check_tile, call_tile),
    "bilinear_attention": Case(tokens(d_k=E, w=small(D, E)), attends(bilinear)),
    "bilinear_scores": Case(pair(d_k=E, w=floats(D, E)), scored(bilinear)),
    "block_sparse_mask": Case(
        layout,
        lambda result, num_queries, num_keys, layout, block_size: equal(
            result, np.kron(layout, np.ones((2, 2), bool))
        ),
    ),
    "causal_mask": Case(
        sizes(query_offset=OFFSETS),
        lambda result, *args, **given: equal(result, away(**given) <= 0),
    ),
    "channel_gate": Case(images, check_channel),
    "chunkwise_weights": Case(
        lambda draw: {
            "alignment": draw.weights(*SCORES),
            "chunk_scores": draw.floats(*SCORES),
            "width": draw.pick(1, 2, 9),
        },
        lambda result, alignment, chunk_scores, width: close(
            result, chunks(double(alignment), double(chunk_scores), np.ones(SCORES, bool), width)
        ),
    ),
    "co_attention": Case(lambda d: pair_inputs(d) | {"w": d.floats(D, E)}, check_co_attention),
    "co_attention_scores": Case(
        draws(first=floats(B, Q, D), second=floats(B, K, E), w=floats(D, E)),
        lambda result, first, second, w: close(
            result, bilinear(double(first), double(second), w=w)
        ),
    ),
    "co_attention_weights": Case(
        draws(scores=floats(*SCORES), mask=mask(*SCORES)), check_co_weights
    ),
    "combine_masks": Case(
        draws(first=mask(*SCORES), second=mask(Q, K), third=pick(None)),
        lambda result, first, second, third: equal(result, first & second),
        lambda function, first, second, third: function(first, third, second),
    ),
    "concat_attention": Case(tokens(d_k=E, w=small(D + E, A), v=floats(A)), attends(concat)),
    "concat_scores": Case(pair(d_k=E, w=small(D + E, A), v=floats(A)), scored(concat)),
    "cosine_attention": Case(tokens(**TEMPERATURE), attends(cosine)),
    "cosine_scores": Case(pair(**TEMPERATURE), scored(cosine)),
    "differential_attention": Case(
        head_tokens(2 * H, lambda_=pick(0.0, 0.8), scale=pick(None, 0.3)), check_differential
    ),
    "differential_lambda": Case(
        draws(**{n: small(D) for n in ("query_1", "key_1", "query_2", "key_2")}, initial=pick(0.8)),
        lambda result, query_1, key_1, query_2, key_2, initial: close(
            result,
            np.exp(double(query_1) @ double(key_1)) - np.exp(double(query_2) @ double(key_2)) + 0.8,
        ),
    ),
    "differential_scores": Case(
        heads((2, 2 * H), 2 * H, scale=pick(None, 0.3)),
        check_pairs,
    ),
    "differential_weights": Case(
        draws(scores=floats(B, 2 * H, Q, K), lambda_=pick(0.0, 0.8), mask=mask(Q, K)),
        lambda result, scores, lambda_, mask: close(
            result, subtracted(softmax64(double(scores), mask), lambda_)
        ),
    ),
    "dilated_mask": Case(
        sizes(window=pick(1, (2, 0)), dilation=pick(1, 2), query_offset=OFFSETS),
        lambda result, num_queries, num_keys, window, dilation, query_offset: equal(
            result,
            ((a := away(num_queries, num_keys, query_offset)) % dilation == 0)
            & (a >= -dilation * np.broadcast_to(window, 2)[0])
            & (a <= dilation * np.broadcast_to(window, 2)[1]),
        ),
    ),
    "dot_product_attention": Case(tokens(), attends(dot)),
    "dot_product_scores": Case(pair(), scored(dot)),
    "elu_plus_one": Case(
        draws(x=floats(*SCORES)),
        lambda result, x: close(result, np.where(x > 0, x + 1, np.exp(np.minimum(double(x), 0)))),
    ),
    "entmax": Case(rows(alpha=pick(1.25, 1.5, 2.0)), normalizes(entmax)),
    "entmax15": Case(rows(), normalizes(lambda s, seen: entmax(s, seen, 1.5))),
    "exponential": Case(rows(), normalizes(lambda s, seen: np.where(seen, np.exp(s), 0))),
    "feed_forward_attention": Case(tokens(**LAYERS), attends(feed_forward), tanh_layers),
    "feed_forward_scores": Case(pair(**LAYERS), scored(feed_forward), tanh_layers),
    "gaussian_mixture": Case(draws(query=floats(B, Q, D), **MIXTURE), check_mixture_parts),
    "gaussian_mixture_attention": Case(tokens(**MIXTURE), check_mixture),
    "gaussian_mixture_scores": Case(
        draws(query=floats(B, Q, D), **MIXTURE), check_mixture_scores, call_mixture_scores
    ),
    "hard_monotonic": Case(rows(state=weights(B, K)), normalizes(hard_reader)),
    "latent_attention": Case(latent, check_latent),
    "latent_keys": Case(
        draws(latent=floats(B, K, 3), rotary_key=floats(B, K, 2), w_key=floats(3, H, D)),
        lambda result, **given: close(result, latent_keys(**given)),
    ),
    "linear_attention": Case(linear(), contexts(linear_map)),
    "linear_weights": Case(linear(d_v=False), maps(linear_map)),
    "linformer_attention": Case(
        linear(causal=False, w_key=small(K, 3), w_value=floats(K, 3)), contexts(linformer_map)
    ),
    "linformer_weights": Case(
        linear(d_v=False, causal=False, w_key=small(K, 3), w_value=floats(K, 3)),
        maps(linformer_map),
    ),
    "local_m_attention": Case(
        tokens(d_k=E, w=small(D, E), half_width=pick(0, 1), query_offset=pick(0, 1)),
        attends(bilinear, near),
    ),
    "local_p_attention": Case(
        tokens(
            d_k=E, w=small(D, E), half_width=pick(2), w_position=small(D, A), v_position=floats(A)
        ),
        attends(bilinear, bell),
    ),
    "location_attention": Case(tokens(w=floats(D, K + 2)), attends(location)),
    "location_features": Case(
        draws(state=weights(*SCORES), filters=floats(4, 2)),
        lambda result, state, filters: close(result, features(state, filters)),
    ),
    "location_scores": Case(
        draws(query=floats(B, Q, D), num_keys=pick(K), w=floats(D, K + 2)),
        lambda result, query, num_keys, w: close(
            result, (double(query) @ double(w))[..., :num_keys]
        ),
    ),
    "location_sensitive_attention": Case(
        tokens(**ENERGY, state=weights(*SCORES), w_location=small(2, A), filters=floats(3, 2)),
        attends(location_sensitive),
    ),
    "location_sensitive_scores": Case(
        pair(**ENERGY, state=weights(*SCORES), w_location=small(2, A), filters=floats(3, 2)),
        scored(location_sensitive),
    ),
    "mix_heads": Case(
        draws(maps=floats(*HEAD_SCORES), mixing=floats(H, 3)),
        lambda result, maps, mixing: close(
            result, np.einsum("bhqk,hm->bmqk", double(maps), double(mixing))
        ),
    ),
    "mocha_attention": Case(
        tokens(**READER, **CHUNK, width=pick(1, 3), state=weights(B, K)), check_mocha
    ),
    "monotonic_attention": Case(
        tokens(**READER, state=weights(B, K)), attends(monotonic_score, soft_reader)
    ),
    "monotonic_scores": Case(pair(**READER), scored(monotonic_score)),
    "multi_head_attention": Case(multi_head, check_multi_head),
    "multi_head_scores": Case(
        heads(scale=pick(None, 0.3)), lambda result, **given: close(result, head_scores(**given))
    ),
    "multi_head_weigh": Case(
        draws(weights=weights(*HEAD_SCORES), value=floats(B, K, 1, E)),
        lambda result, weights, value: close(result, weighed(double(weights), value)),
    ),
    "nystrom_attention": Case(
        lambda d: {
            "query": d.floats(B, K, D),
            "key": d.floats(B, K, D),
            "value": d.floats(B, K, E),
            "num_landmarks": d.pick(1, 2, K),
            "key_mask": d.mask(B, K),
            "query_mask": d.mask(B, K),
        },
        check_nystrom,
    ),
    "nystrom_weights": Case(
        lambda d: {
            "query": d.floats(B, K, D),
            "key": d.floats(B, K, D),
            "num_landmarks": d.pick(1, 2, K),
            "key_mask": d.mask(B, K),
            "query_mask": None,
        },
        check_nystrom,
    ),
    "output_gate": Case(
        draws(query=floats(B, Q, D), w=floats(D, H, E)),
        lambda result, query, w: close(
            result, sigmoid(np.einsum("bqd,dhe->bqhe", double(query), double(w)))
        ),
    ),
    "padding_mask": Case(
        draws(num_keys=pick(1, K), lengths=pick(np.array([0, 3]), np.array([9, 1]))),
        lambda result, num_keys, lengths: equal(
            result, (np.arange(num_keys) < lengths[:, None])[:, None]
        ),
    ),
    "performer_attention": Case(linear(projection=floats(D, 6)), contexts(performer_map)),
    "performer_projection": Case(
        draws(dim=pick(D), num_features=pick(1, 6), rng=lambda d: jax.random.key(d.pick(0, 1, 2))),
        lambda result, dim, num_features, rng: close(
            (block := double(result)[:, : min(dim, num_features)]).T @ block,
            np.diag((block**2).sum(0)),
        ),
    ),
    "performer_weights": Case(linear(d_v=False, projection=floats(D, 6)), maps(performer_map)),
    "predicted_position": Case(
        draws(
            query=floats(B, Q, D), num_keys=pick(K), w_position=small(D, A), v_position=floats(A)
        ),
        lambda result, query, num_keys, w_position, v_position: close(
            result, K * sigmoid(np.tanh(double(query) @ double(w_position)) @ double(v_position))
        ),
    ),
    "prefix_mask": Case(
        sizes(lengths=pick(np.array([0, 3]), np.array([9, 1])), query_offset=OFFSETS),
        lambda result, num_queries, num_keys, lengths, query_offset: equal(
            result,
            (away(num_queries, num_keys, query_offset) <= 0)
            | (np.arange(num_keys) < lengths[:, None, None]),
        ),
    ),
    "prepare": Case(tokens(), check_prepared),
    "prepare_heads": Case(lambda d: head_tokens()(d) | {"num_heads": H}, check_prepared),
    "prepare_pair": Case(pair_inputs, check_pair),
    "query_key_norm": Case(
        lambda d: heads()(d) | {"query_scale": d.floats(D), "epsilon": 1e-6},
        lambda result, query, key, query_scale, epsilon: [
            close(y, x / np.sqrt((double(x) ** 2).mean(-1, keepdims=True) + epsilon) * scale)
            for x, y, scale in zip((query, key), result, (double(query_scale), 1), strict=True)
        ],
    ),
    "repeat_pairs": Case(
        draws(bias=floats(*HEAD_SCORES)),
        lambda result, bias: equal(result, np.repeat(bias, 2, 1)),
    ),
    "rms_normalize": Case(
        draws(x=floats(B, Q, D), scale=floats(D), epsilon=pick(1e-6)),
        lambda result, x, scale, epsilon: close(
            result, double(x) / np.sqrt((double(x) ** 2).mean(-1, keepdims=True) + epsilon) * scale
        ),
    ),
    "rotary": Case(
        draws(x=floats(B, K, H, D), positions=pick(None, np.arange(K) + 7)), check_rotary(True)
    ),
    "rotary_frequencies": Case(
        draws(dim=pick(2, D), base=pick(10.0, 10000.0)),
        lambda result, dim, base: close(result, base ** -(np.arange(0, dim, 2) / dim)),
    ),
    "rotary_pairs": Case(
        draws(x=floats(B, K, H, D), positions=pick(None, np.arange(K) + 7)), check_rotary(False)
    ),
    "scaled_dot_product_attention": Case(tokens(scale=pick(None, 0.3)), attends(scaled)),
    "scaled_dot_product_scores": Case(pair(scale=pick(None, 0.3)), scored(scaled)),
    "share_heads": Case(
        draws(name=pick("key"), array=floats(B, K, 2, D), num_heads=pick(2, 4)),
        lambda result, name, array, num_heads: equal(result, shared(array, num_heads)),
    ),
    "sigmoid": Case(
        rows(bias=pick(0.0, -2.0)),
        normalizes(lambda s, seen, bias: np.where(seen, sigmoid(s + bias), 0)),
    ),
    "soft_monotonic": Case(rows(state=weights(B, K)), normalizes(soft_reader)),
    "softmax": Case(rows(), normalizes(softmax64)),
    "softmax_with_sink": Case(rows(sink=pick(0.0, 3.0)), normalizes(with_sink)),
    "sparsemax": Case(rows(), normalizes(lambda s, seen: entmax(s, seen, 2.0))),
    "spatial_gate": Case(
        draws(x=floats(B, 4, 6, 3), kernel=floats(3, 3, 2, 1), b=pick(None, np.float32(0.2))),
        check_spatial,
    ),
    "squeeze_excitation": Case(images, check_squeeze),
    "streaming_attention": Case(
        fused(
            extra=lambda d: {
                "summary": d.pick(None, ops.Summary(entropy=True, top_k=2, received=True)),
                "block_sizes": d.pick(None, (2, 2)),
            }
        ),
        check_streamed,
    ),
    "t5_buckets": Case(
        sizes(
            num_buckets=pick(8, 32),
            max_distance=pick(20),
            causal=pick(False, True),
            query_offset=pick(0, 19),
        ),
        check_buckets,
    ),
    "t5_relative_bias": Case(
        sizes(
            table=floats(8, H),
            max_distance=pick(20),
            causal=pick(False, True),
            query_offset=pick(0),
        ),
        lambda result, num_queries, num_keys, table, **given: equal(
            result,
            np.moveaxis(
                table[np.asarray(ops.t5_buckets(num_queries, num_keys, num_buckets=8, **given))],
                -1,
                0,
            ),
        ),
    ),
    "talking_heads_attention": Case(
        head_tokens(w_scores=floats(H, H), w_weights=floats(H, H)), check_talking
    ),
    "talking_heads_scores": Case(
        heads(w_scores=floats(H, 3)),
        lambda result, query, key, w_scores: close(
            result, np.einsum("bhqk,hm->bmqk", head_scores(query, key), double(w_scores))
        ),
    ),
    "top_k_softmax": Case(rows(top_k=pick(1, 3, K)), normalizes(top_k)),
    "weigh": Case(
        draws(weights=weights(*SCORES), value=floats(B, K, E)),
        lambda result, weights, value: close(result, double(weights) @ double(value)),
    ),
    "window_mask": Case(
        sizes(window=pick(0, 1, (2, 0)), query_offset=OFFSETS),
        lambda result, num_queries, num_keys, window, query_offset: equal(
            result,
            ((a := away(num_queries, num_keys, query_offset)) >= -np.broadcast_to(window, 2)[0])
            & (a <= np.broadcast_to(window, 2)[1]),
        ),
    ),
    "with_temperature": Case(
        rows(temperature=pick(0.5, 2.0)),
        normalizes(lambda s, seen, temperature: softmax64(s / temperature, seen)),
        lambda function, scores, mask, temperature: function(ops.softmax, temperature)(
            scores, mask=mask
        ),
    ),
}
