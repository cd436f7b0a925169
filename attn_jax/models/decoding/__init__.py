"""Decoding, greedily or by beam search."""
