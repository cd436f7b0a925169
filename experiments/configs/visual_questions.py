"""Questions about pictures of one shape, from easy-VQA, by co-attention (Lu 2016)."""

from attn_jax.models import CoAttentionNetwork, ConvStem
from attn_jax.tasks import VisualQuestions
from attn_jax.train import TrainConfig
from experiments.visual_questions.experiment import VisualQuestionsExperiment

experiment = VisualQuestionsExperiment(
    model=CoAttentionNetwork(stem=ConvStem((16, 32, 64), (True, True, True))),
    task=VisualQuestions(name="easy_vqa"),
    train=TrainConfig(epochs=12, batch_size=16, learning_rate=2e-3),
)
