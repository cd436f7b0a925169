"""Keras on jax: functional and subclassed models, beside the scores that its layers return."""

import jax

from attn_jax.interop import named
from libraries.case import Case, Library

HEADS, SIZE, FEATURES = 3, 4, 12
X = jax.random.normal(jax.random.key(0), (2, 5, FEATURES))


def case(model, layers, names, site, kernel):
    """Build a case of a Keras model.

    Args:
        model: A model that is built.
        layers: Its attention layers, by the function that gives each its inputs.
        names: The names of their weights.
        site: The number of the layer whose heads are scaled.
        kernel: The path of the projection after these heads.
    """
    values = [1.5 * v.value if "kernel" in v.path else v.value for v in model.trainable_variables]
    others = [v.value for v in model.non_trainable_variables]

    def fn(values, x):
        return model.stateless_call(values, others, x)[0]

    def scaled(scale):
        changed = [
            value * scale[:, None, None] if v.path.endswith(kernel) else value
            for v, value in zip(model.trainable_variables, values, strict=True)
        ]
        assert sum(v.path.endswith(kernel) for v in model.trainable_variables) == 1
        return fn(changed, X)

    truth = dict(zip(names, layers(values), strict=True))
    return Case(named(fn, model), (values, X), truth, names[site], scaled)


def scores_of(model, values, run):
    """Run a function of Keras layers with these values for the variables of the model."""
    import keras

    pairs = list(zip(model.trainable_variables, values, strict=True))
    with keras.StatelessScope(state_mapping=pairs):
        return run()


def subclassed():
    import keras

    class Block(keras.layers.Layer):
        def __init__(self, number):
            super().__init__(name=f"numbered{number}")
            self.attn = keras.layers.MultiHeadAttention(HEADS, SIZE, name=f"attn{number}")

        def call(self, x):
            return x + self.attn(x, x, use_causal_mask=True)

    class Transformer(keras.Model):
        def __init__(self):
            super().__init__()
            self.blocks = [Block(i) for i in range(2)]

        def call(self, x):
            for block in self.blocks:
                x = block(x)
            return x

    keras.utils.set_random_seed(0)
    model = Transformer()
    model(X)

    def returned(values):
        def run():
            x, maps = X, []
            for block in model.blocks:
                out, weights = block.attn(x, x, use_causal_mask=True, return_attention_scores=True)
                x = x + out
                maps.append(weights)
            return maps

        return scores_of(model, values, run)

    names = [f"blocks.{i}.attn.weights" for i in range(2)]
    return case(model, returned, names, 1, "attn1/attention_output/kernel")


def functional():
    import keras

    keras.utils.set_random_seed(1)
    inputs = keras.Input((5, FEATURES))
    x = keras.layers.MultiHeadAttention(HEADS, SIZE)(inputs, inputs)
    x = keras.layers.GroupQueryAttention(SIZE, 4, 2)(x, x)
    last = keras.layers.MultiHeadAttention(HEADS, SIZE, name="last")
    model = keras.Model(inputs, last(x, x))

    def returned(values):
        def run():
            x, maps = X, []
            for layer in model.layers[1:]:
                x, weights = layer(x, x, return_attention_scores=True)
                maps.append(weights)
            return maps

        return scores_of(model, values, run)

    names = ["multi_head_attention.weights", "grouped_query_attention.weights", "last.weights"]
    return case(model, returned, names, 2, "last/attention_output/kernel")


LIBRARY = Library(
    name="Keras on jax",
    package="keras",
    lines="""
values = [v.value for v in model.trainable_variables]  # others: non_trainable_variables
fn = tap_attention(named(lambda values, x: model.stateless_call(values, others, x)[0], model))
out, maps = capture(fn, "*.weights")(values, x)
out = intervene(fn, {"blocks.1.attn.weights": patch(0.0, heads=[2])})(values, x)
""",
    models={"subclassed": subclassed, "functional": functional},
)
