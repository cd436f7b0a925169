"""A one-layer model of associative recall."""

from flax import linen as nn
from jaxtyping import Array, Float, Int

from attn_jax.models.sizes import filled
from attn_jax.nn import MultiHeadAttention


class Retriever(nn.Module):
    """One layer of self-attention, whose last tokens are questions about the others.

    A token is the sum of an embedded name and an embedded value, without its position. A question
    has a name and no value, so its answer can only come through the attention.

    Attributes:
        attention: The self-attention of `attn_jax.nn` that is the one layer.
        features: The features of a token.
        num_names: The number of names; filled in from the task.
        num_values: The number of values; filled in from the task. The index after the last marks a
            question.
        num_questions: The number of questions; filled in from the task.

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
        """Map names and values, `(*b, t)`, to logits for the questions.

        Raises:
            ValueError: If a size is not filled in.
        """
        num_values = filled(self, "num_values")
        names = nn.Embed(filled(self, "num_names"), self.features, name="name")(name)
        values = nn.Embed(num_values + 1, self.features, name="value")(value)
        tokens = names + values
        tokens = tokens + self.attention(nn.LayerNorm()(tokens))
        questions = tokens[..., -filled(self, "num_questions") :, :]
        return nn.Dense(num_values, name="head")(nn.LayerNorm()(questions))
