"""Pre-norm Transformer layers for translation, and their decoding steps with a cache."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float, Int

from attn_jax import ops
from attn_jax.nn import MultiHeadAttention

Cache = dict[str, jax.Array]


class FeedForward(nn.Module):
    """A feed-forward network of two dense layers, applied to each token.

    Attributes:
        hidden_dim: The hidden units.
    """

    hidden_dim: int = 512

    @nn.compact
    def __call__(self, x: Float[Array, "*b d"]) -> Float[Array, "*b d"]:
        """Transform each token."""
        return nn.Dense(x.shape[-1])(nn.gelu(nn.Dense(self.hidden_dim)(x)))


class TransformerLayer(nn.Module):
    """The base of encoder and decoder layers.

    Attributes:
        num_heads: The heads of each attention.
        hidden_dim: The hidden units of the feed-forward network.
        dropout_rate: The fraction dropped in training of what each part adds.
    """

    num_heads: int = 4
    hidden_dim: int = 512
    dropout_rate: float = 0.0


class EncoderLayer(TransformerLayer):
    """Self-attention, then a feed-forward network, each added to its input.

    Example:
        >>> layer, x, mask = EncoderLayer(num_heads=3), jnp.ones((2, 5, 6)), jnp.ones(5, bool)
        >>> layer.apply(layer.init(jax.random.key(0), x, mask), x, mask)[0].shape
        (2, 5, 6)

    References:
        Vaswani et al., "Attention Is All You Need", 2017, section 3.1.
        https://arxiv.org/abs/1706.03762
        Xiong et al., "On Layer Normalization in the Transformer Architecture", 2020, for the norms
        inside the residual branches. https://arxiv.org/abs/2002.04745
    """

    @nn.compact
    def __call__(
        self, x: Float[Array, "n s d"], mask: Bool[Array, "..."], deterministic: bool = True
    ) -> tuple[Float[Array, "n s d"], None]:
        """Transform all source tokens; the second result is None, as a scan's body needs."""
        dropout = nn.Dropout(self.dropout_rate, deterministic=deterministic)
        attention = MultiHeadAttention(num_heads=self.num_heads, name="self_attention")
        x = x + dropout(attention(nn.LayerNorm()(x), mask=mask))
        return x + dropout(FeedForward(self.hidden_dim)(nn.LayerNorm()(x))), None


class DecoderLayer(TransformerLayer):
    """Causal self-attention, attention to the source, and a feed-forward network.

    Each is added to its input; the references are those of :class:`EncoderLayer`.
    """

    def setup(self) -> None:
        """Create the submodules."""
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
        """Transform all target tokens; the second result is None, as a scan's body needs."""

        def added(part: jax.Array) -> jax.Array:
            return self.dropout(part, deterministic=deterministic)

        x = x + added(self.self_attention(self.self_norm(x)))
        x = x + added(self.cross_attention(self.cross_norm(x), encoded, mask=mask))
        return x + added(self.feed_forward(self.feed_forward_norm(x))), None

    def start(self, carry: None, encoded: Float[Array, "n s d"]) -> tuple[None, Cache]:
        """Return the keys and values of the source, which every step takes."""
        return carry, _keys_and_values(self.cross_attention, encoded)

    def step(
        self,
        x: Float[Array, "n d"],
        source: Cache,
        target: Cache,
        mask: Bool[Array, "..."],
        position: Int[Array, ""],
    ) -> tuple[Float[Array, "n d"], Cache]:
        """Transform one target token, and add its key and value to the cache.

        Args:
            x: The token.
            source: The keys and values that `start` returned.
            target: The keys and values of the target so far, `(n, max_length, h, d)`.
            mask: True where the source has a token.
            position: The position of the token.
        """
        new = self.self_norm(x)[:, None]
        added = _keys_and_values(self.self_attention, new)
        target = {
            name: jax.lax.dynamic_update_slice_in_dim(array, added[name], position, axis=1)
            for name, array in target.items()
        }
        causal = (jnp.arange(target["key"].shape[1]) <= position)[None, None, None]
        x = x + _attend(self.self_attention, new, target, causal)
        x = x + _attend(self.cross_attention, self.cross_norm(x)[:, None], source, mask)
        return x + self.feed_forward(self.feed_forward_norm(x)), target


def _project(params: Any, x: jax.Array) -> jax.Array:
    """Project tokens to every head, by the parameters of a module."""
    return jnp.einsum("ntd,dhf->nthf", x, params["kernel"]) + params["bias"][None, None]


def _keys_and_values(attention: nn.Module, x: jax.Array) -> Cache:
    params = attention.variables["params"]
    return {name: _project(params[name], x) for name in ("key", "value")}


def _attend(attention: nn.Module, x: jax.Array, cache: Cache, mask: jax.Array) -> jax.Array:
    """Apply a multi-head attention to one query, given its projected keys and values."""
    params = attention.variables["params"]
    query = _project(params["query"], x)
    # The module's own name, so that hooks find a step's weights under the name of its `__call__`.
    with jax.named_scope(attention.name or ""):
        context = ops.attention(query, cache["key"], cache["value"], mask=mask)
    out = params["out"]
    return jnp.einsum("nthf,hfd->nd", context, out["kernel"]) + out["bias"][None]
