"""The layers of a Transformer that translates, pre-norm, and their steps with a cache."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float, Int

from attn_jax import ops
from attn_jax.nn import MultiHeadAttention

Cache = dict[str, jax.Array]


class FeedForward(nn.Module):
    """Two dense layers on each token.

    Attributes:
        hidden_dim: Features between them.
    """

    hidden_dim: int = 512

    @nn.compact
    def __call__(self, x: Float[Array, "*b d"]) -> Float[Array, "*b d"]:
        """Transform each token."""
        return nn.Dense(x.shape[-1])(nn.gelu(nn.Dense(self.hidden_dim)(x)))


class TransformerLayer(nn.Module):
    """What the layers of both sides share.

    Attributes:
        num_heads: Of each attention.
        hidden_dim: Of the feed-forward part.
        dropout_rate: The share of what each part adds that is dropped in training.
    """

    num_heads: int = 4
    hidden_dim: int = 512
    dropout_rate: float = 0.0


class EncoderLayer(TransformerLayer):
    """Self-attention, then a feed-forward part, each added to its input.

    Example:
        >>> layer, x, mask = EncoderLayer(num_heads=3), jnp.ones((2, 5, 6)), jnp.ones(5, bool)
        >>> layer.apply(layer.init(jax.random.key(0), x, mask), x, mask)[0].shape
        (2, 5, 6)

    References:
        Vaswani et al., "Attention Is All You Need", 2017, section 3.1.
        https://arxiv.org/abs/1706.03762
        Xiong et al., "On Layer Normalization in the Transformer Architecture", 2020, for the norms
        inside of the residual branches. https://arxiv.org/abs/2002.04745
    """

    @nn.compact
    def __call__(
        self, x: Float[Array, "n s d"], mask: Bool[Array, "..."], deterministic: bool = True
    ) -> tuple[Float[Array, "n s d"], None]:
        """Transform; None makes it the body of a scan."""
        dropout = nn.Dropout(self.dropout_rate, deterministic=deterministic)
        attention = MultiHeadAttention(num_heads=self.num_heads, name="self_attention")
        x = x + dropout(attention(nn.LayerNorm()(x), mask=mask))
        return x + dropout(FeedForward(self.hidden_dim)(nn.LayerNorm()(x))), None


class DecoderLayer(TransformerLayer):
    """Causal self-attention, attention to the source, a feed-forward part, as the encoder's.

    References:
        As of :class:`EncoderLayer`.
    """

    def setup(self) -> None:
        """Name the parts."""
        self.self_norm, self.cross_norm, self.feed_forward_norm = (nn.LayerNorm() for _ in range(3))
        self.self_attention = MultiHeadAttention(num_heads=self.num_heads, causal=True)
        self.cross_attention = MultiHeadAttention(num_heads=self.num_heads)
        self.feed_forward = FeedForward(self.hidden_dim)
        self.dropout = nn.Dropout(self.dropout_rate)

    def __call__(
        self,
        x: Float[Array, "n t d"],
        encoded: Float[Array, "n s d"],
        mask: Bool[Array, "..."],
        deterministic: bool = True,
    ) -> tuple[Float[Array, "n t d"], None]:
        """Transform all tokens at once; None makes it the body of a scan."""

        def added(part: jax.Array) -> jax.Array:
            return self.dropout(part, deterministic=deterministic)

        x = x + added(self.self_attention(self.self_norm(x)))
        x = x + added(self.cross_attention(self.cross_norm(x), encoded, mask=mask))
        return x + added(self.feed_forward(self.feed_forward_norm(x))), None

    def start(self, carry: None, encoded: Float[Array, "n s d"]) -> tuple[None, Cache]:
        """The keys and values of the source, which every step takes."""
        return carry, _keys_and_values(self.cross_attention, encoded)

    def step(
        self,
        x: Float[Array, "n d"],
        source: Cache,
        written: Cache,
        mask: Bool[Array, "..."],
        at: Int[Array, ""],
    ) -> tuple[Float[Array, "n d"], Cache]:
        """Transform one token, and add it to the cache of those written before.

        Args:
            x: The token.
            source: As from `start`.
            written: Keys and values of the tokens before, `(n, max_length, h, d)`.
            mask: True where the source has a token.
            at: The token's place.
        """
        new = self.self_norm(x)[:, None]
        added = _keys_and_values(self.self_attention, new)
        written = {
            name: jax.lax.dynamic_update_slice_in_dim(array, added[name], at, axis=1)
            for name, array in written.items()
        }
        before = (jnp.arange(written["key"].shape[1]) <= at)[None, None, None]
        x = x + _look_up(self.self_attention, new, written, before)
        x = x + _look_up(self.cross_attention, self.cross_norm(x)[:, None], source, mask)
        return x + self.feed_forward(self.feed_forward_norm(x)), written


def _projected(params: Any, x: jax.Array) -> jax.Array:
    """One token's or all tokens' projection to every head, by a module's own parameters."""
    return jnp.einsum("ntd,dhf->nthf", x, params["kernel"]) + params["bias"][None, None]


def _keys_and_values(attention: nn.Module, x: jax.Array) -> Cache:
    params = attention.variables["params"]
    return {name: _projected(params[name], x) for name in ("key", "value")}


def _look_up(attention: nn.Module, x: jax.Array, cache: Cache, mask: jax.Array) -> jax.Array:
    """What a multi-head attention does with one query, its keys and values projected before."""
    params = attention.variables["params"]
    query = _projected(params["query"], x)
    # Its own name, that hooks find a step's weights where they find those of all steps at once.
    with jax.named_scope(attention.name or ""):
        context = ops.attention(query, cache["key"], cache["value"], mask=mask)
    out = params["out"]
    return jnp.einsum("nthf,hfd->nd", context, out["kernel"]) + out["bias"][None]
