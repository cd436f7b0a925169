"""Whole networks made of `attn_jax.nn` modules."""

from attn_jax.models.bags import BagClassifier
from attn_jax.models.beam import Beams, beam_decode
from attn_jax.models.decoding import Decoded, greedy_decode, translation_weights
from attn_jax.models.image import ConvStem, ImageClassifier, PatchStem, RowStem
from attn_jax.models.recurrent_decoders import BahdanauDecoder, LuongDecoder
from attn_jax.models.recurrent_encoder import BidirectionalEncoder
from attn_jax.models.recurrent_translator import RecurrentTranslator
from attn_jax.models.retrieval import Retriever
from attn_jax.models.transformer_translator import TransformerTranslator

__all__ = [
    "BagClassifier",
    "BahdanauDecoder",
    "Beams",
    "BidirectionalEncoder",
    "ConvStem",
    "Decoded",
    "ImageClassifier",
    "LuongDecoder",
    "PatchStem",
    "RecurrentTranslator",
    "Retriever",
    "RowStem",
    "TransformerTranslator",
    "beam_decode",
    "greedy_decode",
    "translation_weights",
]
