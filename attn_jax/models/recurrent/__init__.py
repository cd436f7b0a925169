"""Recurrent translators: the encoder, the decoders, and the model of both."""
