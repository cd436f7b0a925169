"""Questions about stories, three supporting facts each, by a Transformer over the sentences."""

from attn_jax.models import StoryTransformer
from attn_jax.tasks import QuestionAnswering
from attn_jax.train import TrainConfig
from experiments.question_answering import QuestionAnsweringExperiment

experiment = QuestionAnsweringExperiment(
    model=StoryTransformer(),
    task=QuestionAnswering(facts=3),
    train=TrainConfig(epochs=15, batch_size=64, learning_rate=1e-3, steps_per_call=20),
)
