"""The same by a U-Net without gates (Ronneberger 2015), to compare."""

from attn_jax.models import UNet
from attn_jax.tasks import SegmentDigits
from experiments.segmentation.experiment import RECIPE, SegmentationExperiment

experiment = SegmentationExperiment(model=UNet(gated_levels=()), task=SegmentDigits(), train=RECIPE)
