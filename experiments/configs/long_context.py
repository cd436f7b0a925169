"""Needles in haystacks of 8,192 tokens, found by streaming attention on a CPU."""

from attn_jax.models import Retriever
from attn_jax.nn import MultiHeadAttention
from attn_jax.tasks import Needle
from attn_jax.train import TrainConfig
from experiments.retrieval import RetrievalExperiment

experiment = RetrievalExperiment(
    model=Retriever(attention=MultiHeadAttention(num_heads=1, implementation="streaming")),
    task=Needle(),
    train=TrainConfig(
        epochs=12,
        batch_size=4,
        learning_rate=1e-2,
        weight_decay=0.0,
        steps_per_call=8,
        bucket_run=8,  # One length at a time: with lengths mixed, three epochs learn half as much.
        eval_batch_size=4,
    ),
)
