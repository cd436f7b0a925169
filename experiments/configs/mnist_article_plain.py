"""The article's model without attention: the mean of the rows, or all of them (--model.pooling)."""

from attn_jax.models import PlainImageClassifier, RowStem
from experiments.configs.mnist_article import experiment as article
from experiments.image import PlainImageExperiment

experiment = PlainImageExperiment(
    model=PlainImageClassifier(stem=RowStem(features=128)),
    task=article.task,
    train=article.train,
)
