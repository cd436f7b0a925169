"""Questions about stories by an LSTM without attention, or by a bag of words (--model.kind bag)."""

from attn_jax.models import StoryBaseline
from attn_jax.tasks import QuestionAnswering
from attn_jax.train import TrainConfig
from experiments.question_answering import StoryBaselineExperiment

experiment = StoryBaselineExperiment(
    model=StoryBaseline(),
    task=QuestionAnswering(),
    train=TrainConfig(epochs=6, batch_size=64, learning_rate=2e-3, steps_per_call=20),
)
