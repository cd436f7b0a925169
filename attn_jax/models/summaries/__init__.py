"""Summarizers: the decoder with coverage, and the models with and without copying."""
