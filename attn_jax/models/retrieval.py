"""A model that looks things up: what it knows of a card, it knows by attention."""

from flax import linen as nn
from jaxtyping import Array, Float, Int

from attn_jax.models.sizes import filled
from attn_jax.nn import MultiHeadAttention


class Retriever(nn.Module):
    """Every token attends to every token once; the last ones, the questions, are answered.

    Names and values are embedded and added, and nothing tells a token its place. A question has a
    name and no value: what it answers can only have come through the attention.

    Attributes:
        attention: A self-attention of `attn_jax.nn`; its one layer.
        features: Features of a token.
        num_names: Filled from the task.
        num_values: Filled from the task; the index after the last is the mark of a question.
        num_questions: Filled from the task.

    Example:
        >>> model = Retriever(features=8, num_names=5, num_values=3, num_questions=2)
        >>> name, value = jnp.array([4, 0, 1, 1, 4]), jnp.array([2, 0, 1, 3, 3])
        >>> variables = model.init(jax.random.key(0), name, value)
        >>> model.apply(variables, name, value).shape
        (2, 3)

    References:
        Associative recall as a test of attention: Arora et al., Zoology, 2023, section 3,
        https://arxiv.org/abs/2312.04927.
    """

    attention: nn.Module = MultiHeadAttention(num_heads=1)
    features: int = 64
    num_names: int | None = None
    num_values: int | None = None
    num_questions: int | None = None

    @nn.compact
    def __call__(
        self, name: Int[Array, "*b t"], value: Int[Array, "*b t"]
    ) -> Float[Array, "*b questions values"]:
        """Answer: `(*b, t)` names and values to logits of the last tokens.

        Raises:
            ValueError: If a size was not filled in.
        """
        num_values = filled(self, "num_values")
        of_name = nn.Embed(filled(self, "num_names"), self.features, name="name")(name)
        of_value = nn.Embed(num_values + 1, self.features, name="value")(value)
        tokens = of_name + of_value
        tokens = tokens + self.attention(nn.LayerNorm()(tokens))
        asked = tokens[..., -filled(self, "num_questions") :, :]
        return nn.Dense(num_values, name="head")(nn.LayerNorm()(asked))
