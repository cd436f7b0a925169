"""Complete models built from `attn_jax.nn`: classifiers, a retriever, translators and decoding."""

# Imported for the error that names the extra.
import attn_jax._extras.flax  # noqa: F401
from attn_jax.models.bags import BagClassifier
from attn_jax.models.co_attention import CoAttentionNetwork
from attn_jax.models.decoding.beam import Beams, beam_decode
from attn_jax.models.decoding.greedy import Decoded, greedy_decode, translation_weights
from attn_jax.models.detector import Detections, Detector
from attn_jax.models.ego import EgoAttention
from attn_jax.models.image import ConvStem, ImageClassifier, PatchStem, RowStem
from attn_jax.models.memory import MemoryNetwork, StoryBaseline, StoryTransformer
from attn_jax.models.recurrent.decoders import BahdanauDecoder, LuongDecoder
from attn_jax.models.recurrent.encoder import BidirectionalEncoder
from attn_jax.models.recurrent.translator import RecurrentTranslator
from attn_jax.models.retrieval import Retriever
from attn_jax.models.speech.chunkwise import ChunkwiseRecognizer
from attn_jax.models.speech.ctc import CtcRecognizer
from attn_jax.models.speech.recognizer import JointRecognizer, SpeechRecognizer
from attn_jax.models.summaries.summarizer import PointerGenerator, Summarizer
from attn_jax.models.text import RecurrentClassifier, TransformerClassifier
from attn_jax.models.transformer.translator import TransformerTranslator
from attn_jax.models.unet import UNet
from attn_jax.models.volatility import HorizonAttention
from attn_jax.models.without_attention import (
    FixedVectorDecoder,
    FixedVectorTranslator,
    PlainImageClassifier,
)

__all__ = [
    "BagClassifier",
    "BahdanauDecoder",
    "Beams",
    "BidirectionalEncoder",
    "ChunkwiseRecognizer",
    "CoAttentionNetwork",
    "ConvStem",
    "CtcRecognizer",
    "Decoded",
    "Detections",
    "Detector",
    "EgoAttention",
    "FixedVectorDecoder",
    "FixedVectorTranslator",
    "HorizonAttention",
    "ImageClassifier",
    "JointRecognizer",
    "LuongDecoder",
    "MemoryNetwork",
    "PatchStem",
    "PlainImageClassifier",
    "PointerGenerator",
    "RecurrentClassifier",
    "RecurrentTranslator",
    "Retriever",
    "RowStem",
    "SpeechRecognizer",
    "StoryBaseline",
    "StoryTransformer",
    "Summarizer",
    "TransformerClassifier",
    "TransformerTranslator",
    "UNet",
    "beam_decode",
    "greedy_decode",
    "translation_weights",
]
