"""Questions about stories, three supporting facts each, by a memory network that learns them."""

from attn_jax.models import MemoryNetwork
from attn_jax.tasks import QuestionAnswering
from attn_jax.train import TrainConfig
from experiments.question_answering import QuestionAnsweringExperiment

experiment = QuestionAnsweringExperiment(
    model=MemoryNetwork(hops=3),
    task=QuestionAnswering(facts=3),
    train=TrainConfig(
        epochs=30, batch_size=64, learning_rate=5e-3, weight_decay=0.0, steps_per_call=50
    ),
    supervision=1.0,
)
