"""Boxes and names of one to five digits on a canvas, by a small DETR (Carion 2020)."""

from attn_jax.models import Detector
from attn_jax.tasks import DetectDigits
from experiments.detection.experiment import RECIPE, DetectionExperiment

experiment = DetectionExperiment(model=Detector(), task=DetectDigits(), train=RECIPE)
