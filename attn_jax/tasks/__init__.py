"""Data sets and generated data, as arrays ready for a jitted step.

A task is a frozen dataclass with three parts: `load()` returns numpy arrays by split and bucket;
`sizes` are the sizes of a model that depend on the data; and `prepare(batch, rng)` is the pure part
that runs on the device.
"""

from attn_jax.tasks.bags import MnistBags
from attn_jax.tasks.canvases.detection import DetectDigits
from attn_jax.tasks.canvases.segmentation import SegmentDigits
from attn_jax.tasks.driving import Driving
from attn_jax.tasks.mnist.task import Mnist
from attn_jax.tasks.needle import Needle
from attn_jax.tasks.planted_evidence import PlantedEvidence
from attn_jax.tasks.question_answering import QuestionAnswering
from attn_jax.tasks.speech import Speech
from attn_jax.tasks.summaries import Summaries
from attn_jax.tasks.translation import Translation
from attn_jax.tasks.visual_questions import VisualQuestions
from attn_jax.tasks.volatility import Volatility

__all__ = [
    "DetectDigits",
    "Driving",
    "Mnist",
    "MnistBags",
    "Needle",
    "PlantedEvidence",
    "QuestionAnswering",
    "SegmentDigits",
    "Speech",
    "Summaries",
    "Translation",
    "VisualQuestions",
    "Volatility",
]
