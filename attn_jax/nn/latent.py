"""Multi-head latent attention as a Flax module, with decoding steps and their cache."""

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float, Int, Real

from attn_jax import ops
from attn_jax.hooks import tap
from attn_jax.nn.multi_head import MultiHeadAttention, head_features
from attn_jax.ops.shapes import as_float

Cache = dict[str, jax.Array]

ONES = nn.initializers.ones


class MultiHeadLatentAttention(MultiHeadAttention):
    r"""Attention to keys and values of low rank: :func:`attn_jax.ops.latent_attention`.

    Parameters: `down_query (d_q, c_q)` and `down_key_value (d_k, c)`, the projections to the
    latents; `query_norm` and `latent_norm`, their scales; `query (c_q, h, d)` and `rotary_query
    (c_q, h, r)`; `w_key (c, h, d)` and `w_value (c, h, d)`; `rotary_key (d_k, r)`; `out`. The hook
    points are those of :class:`MultiHeadAttention`, with query and key of `d + r` features, and
    `latent`, `(*b, k, c)`. Query and key have the positions 0, 1, …; :meth:`step` continues from
    a cache.

    Attributes:
        latent_dim: c, the features of the latent; half the key's if None.
        query_latent_dim: :math:`c_q`; half the query's features if None.
        rotary_dim: r, the features that carry positions, an even number; the features of a head if
            None.
        base: The approximate ratio of the longest rotary wavelength to the shortest.

    Example:
        >>> x = jnp.ones((2, 5, 12))
        >>> model = MultiHeadLatentAttention(num_heads=3, causal=True)
        >>> variables = model.init(jax.random.key(0), x)
        >>> cache = model.init_cache(2, max_length=5, features=12)
        >>> out, cache = model.apply(variables, x[:, :1], cache, method="step")
        >>> out.shape, cache["latent"].shape, cache["rotary_key"].shape
        ((2, 1, 12), (2, 5, 6), (2, 5, 4))

    References:
        DeepSeek-AI, "DeepSeek-V2: A Strong, Economical, and Efficient Mixture-of-Experts Language
        Model", 2024, section 2.1. https://arxiv.org/abs/2405.04434
    """

    use_bias: bool = False
    latent_dim: int | None = None
    query_latent_dim: int | None = None
    rotary_dim: int | None = None
    base: float = 10_000.0

    def project(self, inputs: ops.Inputs) -> ops.Inputs:
        """Project the tokens to latents, and the latents to the heads."""
        if self.num_key_value_heads is not None or self.transform is not None:
            raise ValueError(
                f"num_key_value_heads={self.num_key_value_heads} and transform={self.transform} "
                "must be None: all heads share one latent, and positions have their own features."
            )
        # Only the latent and one rotary key per token are cached: all else per head follows.
        sizes = self._sizes(inputs.query.shape[-1], inputs.key.shape[-1])
        query, rotary_query = self._queries(inputs.query, sizes, 0)
        latent, rotary_key = self._latents(inputs.key, sizes, 0)
        latent = tap("latent", latent)
        return inputs._replace(
            query=jnp.concatenate([query, rotary_query], axis=-1),
            key=ops.latent_keys(latent, rotary_key, self._weight("w_key", sizes, latent)),
            value=jnp.einsum("...kc,che->...khe", latent, self._weight("w_value", sizes, latent)),
        )

    def init_cache(self, *batch: int, max_length: int, features: int) -> Cache:
        """Return an empty cache for :meth:`step`.

        Args:
            *batch: The batch axes.
            max_length: The number of tokens it can hold.
            features: The features of a token.
        """
        sizes, dtype = self._sizes(features, features), jnp.dtype(self.dtype or "float32")
        return {
            "latent": jnp.zeros((*batch, max_length, sizes["w_key"][0]), dtype),
            "rotary_key": jnp.zeros((*batch, max_length, sizes["rotary_key"][1]), dtype),
            "length": jnp.zeros((), jnp.int32),
        }

    def step(
        self,
        x: Real[Array, "*b q d_q"],
        cache: Cache,
        *,
        key_mask: Bool[Array, "..."] | None = None,
    ) -> tuple[Float[Array, "*b q d_out"], Cache]:
        r"""Add the next tokens to a cache, and attend to all tokens in it.

        Each query attends to the latents themselves, by :func:`attn_jax.ops.absorbed_queries`, so
        the keys and values of the heads are never built.

        Args:
            x: The next tokens, one or more.
            cache: The cache from :meth:`init_cache` or the previous step, which holds `c + r`
                numbers per token.
            key_mask: `(*b, max_length)`; True = the token exists. It hides the padding of prompts.

        Returns:
            The output, and the cache with the new tokens. Past the end of the cache the output is
            NaN.

        Raises:
            ValueError: If the module is not causal or not a softmax, or the cache cannot hold so
                many tokens.
        """
        if not self.causal:
            raise ValueError(
                "causal=False lets tokens attend to later ones, which a step does not have; "
                "set causal=True."
            )
        if self.normalizer is not ops.softmax:
            raise ValueError(
                f"normalizer={self.normalizer} is not softmax, the only one that a step computes."
            )
        (x,) = as_float(x)
        max_length = cache["latent"].shape[-2]
        if x.shape[-2] > max_length:
            raise ValueError(
                f"{x.shape[-2]} tokens do not fit a cache of {max_length}; give init_cache a "
                "larger max_length."
            )
        sizes, length = self._sizes(x.shape[-1], x.shape[-1]), cache["length"]
        query, rotary_query = self._queries(x, sizes, length)
        new = dict(zip(("latent", "rotary_key"), self._latents(x, sizes, length), strict=True))
        cache = {
            name: jax.lax.dynamic_update_slice_in_dim(
                cache[name], array.astype(cache[name].dtype), length, axis=-2
            )
            for name, array in new.items()
        } | {"length": length + x.shape[-2]}
        latent = cache["latent"][..., None, :]
        # The key projection moves into the query and the value projection behind the weights, so
        # all heads share one key and one value, the latent: this is multi-query attention.
        context = ops.attention(
            ops.absorbed_queries(query, rotary_query, self._weight("w_key", sizes, query)),
            jnp.concatenate([latent, cache["rotary_key"][..., None, :]], axis=-1),
            latent,
            key_mask=key_mask,
            causal=True,
            window=self.window,
            query_offset=length,
            scale=(query.shape[-1] + rotary_query.shape[-1]) ** -0.5,
        )
        context = jnp.einsum("...qhc,che->...qhe", context, self._weight("w_value", sizes, query))
        # The output projection is a submodule that only `__call__` creates, so its parameters are
        # read here.
        out = self.variables["params"]["out"]
        output = jnp.einsum("...qhe,hed->...qd", context, out["kernel"].astype(context.dtype))
        if "bias" in out:
            output += out["bias"].reshape((1,) * (output.ndim - 1) + out["bias"].shape)
        # An update past the end would be clamped, and overwrite the last tokens without a word.
        fits = cache["length"] <= max_length
        return jnp.where(fits, output, jnp.nan).astype(context.dtype), cache

    def _sizes(self, query_features: int, key_features: int) -> dict[str, tuple[int, ...]]:
        """Return the shape of each parameter."""
        head_dim = head_features(self.num_heads, self.head_dim, query_features)
        latent_dim = self.latent_dim or max(key_features // 2, 1)
        query_latent_dim = self.query_latent_dim or max(query_features // 2, 1)
        rotary_dim = self.rotary_dim or max(head_dim // 2 * 2, 2)
        heads = (self.num_heads, head_dim)
        return {
            "down_query": (query_features, query_latent_dim),
            "query_norm": (query_latent_dim,),
            "query": (query_latent_dim, *heads),
            "rotary_query": (query_latent_dim, self.num_heads, rotary_dim),
            "down_key_value": (key_features, latent_dim),
            "latent_norm": (latent_dim,),
            "rotary_key": (key_features, rotary_dim),
            "w_key": (latent_dim, *heads),
            "w_value": (latent_dim, *heads),
        }

    def _weight(self, name: str, sizes: dict[str, tuple[int, ...]], like: jax.Array) -> jax.Array:
        """Return a parameter; `__call__` creates it, and `step` only reads it."""
        if self.has_variable("params", name):
            return self.get_variable("params", name).astype(like.dtype)
        shape = sizes[name]
        outputs = tuple(range(1, len(shape)))
        make = nn.initializers.lecun_normal(in_axis=0, out_axis=outputs) if outputs else ONES
        return self.param(name, make, shape, jnp.float32).astype(like.dtype)

    def _queries(
        self, x: jax.Array, sizes: dict[str, tuple[int, ...]], position: int | Int[Array, ""]
    ) -> tuple[jax.Array, jax.Array]:
        """Return the queries of all heads: the features without positions, and the rotary ones."""
        x = x.astype(self.dtype or x.dtype)
        down = x @ self._weight("down_query", sizes, x)
        latent = ops.rms_normalize(down, self._weight("query_norm", sizes, x), 1e-6)
        query, rotary = (
            jnp.einsum("...qc,chd->...qhd", latent, self._weight(name, sizes, x))
            for name in ("query", "rotary_query")
        )
        return query, self._rotate(rotary, position)

    def _latents(
        self, x: jax.Array, sizes: dict[str, tuple[int, ...]], position: int | Int[Array, ""]
    ) -> tuple[jax.Array, jax.Array]:
        """Return the latent and the rotary key of each token, which a cache keeps."""
        x = x.astype(self.dtype or x.dtype)
        down = x @ self._weight("down_key_value", sizes, x)
        latent = ops.rms_normalize(down, self._weight("latent_norm", sizes, x), 1e-6)
        rotary = (x @ self._weight("rotary_key", sizes, x))[..., None, :]
        return latent, self._rotate(rotary, position)[..., 0, :]

    def _rotate(self, x: jax.Array, position: int | Int[Array, ""]) -> jax.Array:
        frequencies = ops.rotary_frequencies(x.shape[-1], base=self.base)
        positions = jnp.arange(x.shape[-3]) + position
        return ops.rotary(x, positions=positions, frequencies=frequencies)
