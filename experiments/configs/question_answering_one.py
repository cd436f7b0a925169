"""Questions about stories, one supporting fact each, by a memory network (Sukhbaatar 2015)."""

from attn_jax.models import MemoryNetwork
from attn_jax.tasks import QuestionAnswering
from attn_jax.train import TrainConfig
from experiments.question_answering import QuestionAnsweringExperiment

experiment = QuestionAnsweringExperiment(
    model=MemoryNetwork(hops=1),
    task=QuestionAnswering(facts=1),
    train=TrainConfig(
        epochs=10, batch_size=64, learning_rate=5e-3, weight_decay=0.0, steps_per_call=50
    ),
)
