"""The recurrent translators: encoder, decoders, and the two together."""
