"""MNIST by the article's model, repaired: rows as tokens, additive attention, hidden 128."""

from attn_jax.models import ImageClassifier, RowStem
from attn_jax.nn import AdditiveAttention
from attn_jax.tasks import Mnist
from attn_jax.train import TrainConfig
from experiments.image import ImageExperiment

experiment = ImageExperiment(
    model=ImageClassifier(stem=RowStem(features=128), attention=AdditiveAttention(hidden_dim=128)),
    task=Mnist(shift=0),
    train=TrainConfig(
        epochs=10,
        batch_size=64,
        learning_rate=1e-3,
        schedule="constant",
        warmup=0.0,
        weight_decay=0.0,
        clip_norm=0.0,
        steps_per_call=100,
    ),
)
