"""BERT, RoBERTa and DistilBERT: encoders that normalize after each part."""

from collections.abc import Callable

import jax.numpy as jnp
from flax import linen as nn
from jax import Array
from jaxtyping import Bool, Float, Int

from attn_jax.hooks import tap
from attn_jax.pretrained.families.family import Config, Family, setting, text_reader
from attn_jax.pretrained.families.layers import run_layers
from attn_jax.pretrained.families.parts import HeadAttention, activation, layer_norm
from attn_jax.pretrained.reading.convert import Table


class BertLayer(nn.Module):
    """One layer: attention and a feed-forward network, each added and normalized.

    Attributes:
        num_heads: The heads.
        mlp_dim: The features inside the feed-forward network.
        activation: Its activation.
        epsilon: Added to variances.
    """

    num_heads: int
    mlp_dim: int
    activation: Callable[[Array], Array]
    epsilon: float

    @nn.compact
    def __call__(
        self, x: Float[Array, "*b t f"], key_mask: Bool[Array, "*b t"] | None = None
    ) -> Float[Array, "*b t f"]:
        """Apply the layer to `(*b, tokens, features)`."""
        x = tap("residual", x)
        attended = HeadAttention(self.num_heads, name="attention")(x, key_mask=key_mask)
        x = tap("residual_mid", layer_norm(self.epsilon, "attention_norm")(x + attended))
        hidden = tap("mlp_in", nn.Dense(self.mlp_dim, name="mlp_in")(x))
        hidden = tap("mlp_hidden", self.activation(hidden))
        hidden = tap("mlp", nn.Dense(x.shape[-1], name="mlp_out")(hidden))
        return tap("residual_out", layer_norm(self.epsilon, "mlp_norm")(x + hidden))


class Bert(nn.Module):
    """A BERT encoder.

    Hook points beside those of attention (`layers.3.attention.weights`) and of the norms
    (:class:`LayerNorm`): `embedding`, and in each layer `residual` (what enters it), `residual_mid`
    (after attention), `mlp_in` and `mlp_hidden` (before and after the activation), `mlp` and
    `residual_out`.

    Attributes:
        vocabulary: The number of tokens.
        positions: The number of positions.
        segments: The number of segments; without any, there is no such embedding.
        features: The features of a token.
        num_layers: The layers.
        num_heads: The heads of each.
        mlp_dim: The features inside the feed-forward networks.
        activation: Their activation.
        epsilon: Added to variances.
        first_position: The number of the first token's position.
        scan: Whether the layers run as one scan over stacked parameters.

    References:
        Devlin et al., "BERT", 2019. https://arxiv.org/abs/1810.04805
    """

    vocabulary: int
    positions: int
    segments: int
    features: int
    num_layers: int
    num_heads: int
    mlp_dim: int
    activation: Callable[[Array], Array] = nn.gelu
    epsilon: float = 1e-12
    first_position: int = 0
    scan: bool = False

    @nn.compact
    def __call__(
        self,
        tokens: Int[Array, "*b t"],
        key_mask: Bool[Array, "*b t"] | None = None,
        segments: Int[Array, "*b t"] | None = None,
    ) -> Float[Array, "*b t f"]:
        """Return the last hidden states.

        Args:
            tokens: Numbers of tokens, `(*b, tokens)`.
            key_mask: True = the token exists; all do if None.
            segments: The number of each token's segment; all zero if None.
        """
        table = {"token": self.vocabulary, "position": self.positions, "segment": self.segments}
        embed = {
            name: nn.Embed(size, self.features, name=f"{name}_embedding")
            for name, size in table.items()
            if size
        }
        x = embed["token"](tokens)
        x = x + embed["position"](self.first_position + jnp.arange(tokens.shape[-1])).reshape(
            (1,) * (x.ndim - 2) + (tokens.shape[-1], self.features)
        )
        if self.segments:
            x = x + embed["segment"](jnp.zeros_like(tokens) if segments is None else segments)
        x = tap("embedding", layer_norm(self.epsilon, "embedding_norm")(x))
        layer = BertLayer(self.num_heads, self.mlp_dim, self.activation, self.epsilon, parent=None)
        return run_layers(self, [layer] * self.num_layers, x, key_mask, scan=self.scan)


def _from_config(config: Config) -> Bert:
    return Bert(
        vocabulary=setting(config, "vocab_size"),
        positions=setting(config, "max_position_embeddings"),
        segments=0 if config["model_type"] == "distilbert" else setting(config, "type_vocab_size"),
        features=setting(config, "hidden_size", "dim"),
        num_layers=setting(config, "num_hidden_layers", "n_layers"),
        num_heads=setting(config, "num_attention_heads", "n_heads"),
        mlp_dim=setting(config, "intermediate_size", "hidden_dim"),
        activation=activation(setting(config, "hidden_act", "activation")),
        epsilon=setting(config, "layer_norm_eps", default=1e-12),
        # RoBERTa counts from the number of the padding.
        first_position=_first_position(config),
    )


def _first_position(config: Config) -> int:
    return config.get("pad_token_id", 1) + 1 if config["model_type"] == "roberta" else 0


def _layer(names: dict[str, str]) -> Table:
    """Return the table of a layer, for the names that a family gives to its parts."""
    table = {}
    for theirs, ours in names.items():
        is_norm = ours.endswith("norm")
        kind = "out_kernel" if ours.endswith("/out") else "kernel"
        table[f"{theirs}.weight"] = (
            (f"{ours}/scale", "same") if is_norm else (f"{ours}/kernel", kind)
        )
        table[f"{theirs}.bias"] = f"{ours}/bias", "same"
    return table


_EMBEDDINGS: Table = {
    "embeddings.word_embeddings.weight": ("token_embedding/embedding", "same"),
    "embeddings.position_embeddings.weight": ("position_embedding/embedding", "same"),
    "embeddings.token_type_embeddings.weight": ("segment_embedding/embedding", "same"),
    "embeddings.LayerNorm.weight": ("embedding_norm/scale", "same"),
    "embeddings.LayerNorm.bias": ("embedding_norm/bias", "same"),
}
_BERT_LAYER = _layer(
    {
        "encoder.layer.*.attention.self.query": "layers_*/attention/query",
        "encoder.layer.*.attention.self.key": "layers_*/attention/key",
        "encoder.layer.*.attention.self.value": "layers_*/attention/value",
        "encoder.layer.*.attention.output.dense": "layers_*/attention/out",
        "encoder.layer.*.attention.output.LayerNorm": "layers_*/attention_norm",
        "encoder.layer.*.intermediate.dense": "layers_*/mlp_in",
        "encoder.layer.*.output.dense": "layers_*/mlp_out",
        "encoder.layer.*.output.LayerNorm": "layers_*/mlp_norm",
    }
)
_DISTILBERT_LAYER = _layer(
    {
        "transformer.layer.*.attention.q_lin": "layers_*/attention/query",
        "transformer.layer.*.attention.k_lin": "layers_*/attention/key",
        "transformer.layer.*.attention.v_lin": "layers_*/attention/value",
        "transformer.layer.*.attention.out_lin": "layers_*/attention/out",
        "transformer.layer.*.sa_layer_norm": "layers_*/attention_norm",
        "transformer.layer.*.ffn.lin1": "layers_*/mlp_in",
        "transformer.layer.*.ffn.lin2": "layers_*/mlp_out",
        "transformer.layer.*.output_layer_norm": "layers_*/mlp_norm",
    }
)
# Buffers, and heads on top of the encoder.
_IGNORED = (r"embeddings\.position_ids", r"pooler\..*", r"cls\..*", r"lm_head\..*", r"vocab_.*")
_IGNORED += (r"classifier\..*", r"qa_outputs\..*", r"pre_classifier\..*")

BERT = Family("bert", _from_config, {**_EMBEDDINGS, **_BERT_LAYER}, "bert.", _IGNORED)
ROBERTA = Family(
    "roberta",
    _from_config,
    {**_EMBEDDINGS, **_BERT_LAYER},
    "roberta.",
    _IGNORED,
    reader=lambda checkpoint: text_reader(checkpoint, _first_position(checkpoint.config)),
)
DISTILBERT = Family(
    "distilbert", _from_config, {**_EMBEDDINGS, **_DISTILBERT_LAYER}, "distilbert.", _IGNORED
)
