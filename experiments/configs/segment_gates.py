"""The pixels of threes among other digits, by a U-Net with attention gates (Oktay 2018)."""

from attn_jax.models import UNet
from attn_jax.tasks import SegmentDigits
from experiments.segmentation.experiment import RECIPE, GatedSegmentation

experiment = GatedSegmentation(model=UNet(), task=SegmentDigits(), train=RECIPE)
