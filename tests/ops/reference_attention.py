"""Attention, its gradients and its summary in NumPy and float64, written from the definitions."""

import numpy as np


class Reference:
    """One call, with its whole map; keys that a query may not see have a score of -inf."""

    def __init__(
        self, query, key, value, *, mask=None, bias=None, causal=False, query_offset=0,
        window=None, segment_ids=None, scale=None, softcap=None, sinks=None,
    ):  # fmt: skip
        self.query, key, value = (np.asarray(x, np.float64) for x in (query, key, value))
        self.group = self.query.shape[-2] // key.shape[-2]
        self.key, self.value = (np.repeat(x, self.group, -2) for x in (key, value))
        self.scale = self.query.shape[-1] ** -0.5 if scale is None else scale
        self.softcap, self.sinks, self.bias = softcap, sinks, bias
        scores = self.scale * np.einsum("...qhd,...khd->...hqk", self.query, self.key)
        scores = scores if softcap is None else softcap * np.tanh(scores / softcap)
        self.capped = scores
        self.set_scores(scores if bias is None else scores + np.asarray(bias, np.float64))
        away = np.arange(self.num_keys) - np.arange(self.num_queries)[:, None] - query_offset
        self.away = np.abs(away)
        left, right = (window, window) if isinstance(window, int) else (window or (np.inf, np.inf))
        seen = (away >= -left) & (away <= (min(right, 0) if causal else right))
        if mask is not None:
            seen = seen & np.asarray(mask)
        if segment_ids is not None:
            pair = segment_ids if isinstance(segment_ids, tuple) else (segment_ids, segment_ids)
            of_queries, of_keys = map(np.asarray, pair)
            seen = seen & (of_queries[..., None, :, None] == of_keys[..., None, None, :])
        self.set_scores(np.where(seen, self.scores, -np.inf))

    def set_scores(self, scores):
        """Normalise scores by softmax, of sinks too."""
        self.scores, (self.num_queries, self.num_keys) = scores, scores.shape[-2:]
        self.max_logit = scores.max(-1)
        sinks = -np.inf if self.sinks is None else np.asarray(self.sinks, np.float64)[:, None]
        shift = np.maximum(self.max_logit, sinks)
        shift = np.where(shift == -np.inf, 0, shift)
        total = np.exp(scores - shift[..., None]).sum(-1) + np.exp(sinks - shift)
        with np.errstate(divide="ignore"):
            self.log_normalizer = shift + np.log(total)
        total = np.where(total == 0, 1, total)
        self.weights = np.exp(scores - shift[..., None]) / total[..., None]
        self.of_sinks = np.exp(sinks - shift) / total

    @property
    def context(self):
        return np.einsum("...hqk,...khe->...qhe", self.weights, self.value)

    @property
    def is_empty(self):
        """Which queries, `(*b, h, q)`, may attend to nothing."""
        return self.max_logit == -np.inf

    def gradients(self, toward):
        """The gradients of the inner product of the context with `toward`."""
        toward = np.asarray(toward, np.float64)
        of_weights = np.einsum("...qhe,...khe->...hqk", toward, self.value)
        mean = (self.weights * of_weights).sum(-1)
        of_scores = self.weights * (of_weights - mean[..., None])
        slope = 1 if self.softcap is None else 1 - (self.capped / self.softcap) ** 2
        of_products = of_scores * slope * self.scale
        found = {
            "query": np.einsum("...hqk,...khd->...qhd", of_products, self.key),
            "key": self._grouped(np.einsum("...hqk,...qhd->...khd", of_products, self.query)),
            "value": self._grouped(np.einsum("...hqk,...qhe->...khe", self.weights, toward)),
        }
        if self.bias is not None:
            found["bias"] = _summed_to(of_scores, self.bias.shape)
        if self.sinks is not None:
            found["sinks"] = _summed_to(-(self.of_sinks * mean).sum(-1), self.sinks.shape)
        return found

    def _grouped(self, gradient):
        *batch, tokens, _, features = gradient.shape
        return gradient.reshape(*batch, tokens, -1, self.group, features).sum(-2)

    def summary(self, pooled):
        """All the fields but those of the largest weights."""
        logs = np.log(np.where(self.weights > 0, self.weights, 1))
        return {
            "log_normalizer": self.log_normalizer,
            "entropy": -(self.weights * logs).sum(-1),
            "max_logit": self.max_logit,
            "received": self.weights.sum(-2),
            "distance": (self.weights * self.away).sum(-1),
            "pooled": self._pooled(*pooled),
        }

    def _pooled(self, rows, columns):
        found = np.empty((*self.weights.shape[:-2], rows, columns))
        for i, j in np.ndindex(rows, columns):
            of_rows, of_columns = (
                slice(n * tokens // tiles, (n + 1) * tokens // tiles)
                for n, tokens, tiles in ((i, self.num_queries, rows), (j, self.num_keys, columns))
            )
            found[..., i, j] = self.weights[..., of_rows, of_columns].mean((-2, -1))
        return found


def _summed_to(array, shape):
    """Sum over the axes along which something of a shape was broadcast."""
    array = array.sum(tuple(range(array.ndim - len(shape))))
    axes = tuple(axis for axis, size in enumerate(shape) if size == 1)
    return array.sum(axes, keepdims=True)


def close(actual, wanted, tolerance=1e-5):
    """Whether |actual - wanted| <= tolerance * max(1, |wanted|), and infinities are equal."""
    actual, wanted = np.asarray(actual, np.float64), np.asarray(wanted)
    assert actual.shape == wanted.shape
    sure = np.isfinite(wanted)
    np.testing.assert_array_equal(actual[~sure], wanted[~sure])
    scale = np.maximum(1, np.abs(wanted[sure]))
    np.testing.assert_allclose(actual[sure] / scale, wanted[sure] / scale, rtol=0, atol=tolerance)


def check_summary(found, reference, pooled, tolerance=1e-5):
    """Compare a summary with what the map holds; the largest weights by where they are, too."""
    for name, wanted in reference.summary(pooled).items():
        close(getattr(found, name), wanted, tolerance)
    keys, k = np.asarray(found.top_indices), found.top_indices.shape[-1]
    close(found.top_weights, -np.sort(-reference.weights, axis=-1)[..., :k], tolerance)
    at_keys = np.take_along_axis(reference.weights, np.maximum(keys, 0), axis=-1)
    close(found.top_weights, np.where(keys < 0, 0, at_keys), tolerance)
    np.testing.assert_array_equal(keys >= 0, np.asarray(found.top_weights) > 0)
    in_order = np.sort(keys, axis=-1)
    assert ((in_order[..., 1:] > in_order[..., :-1]) | (in_order[..., :-1] < 0)).all()
