"""Normalizers: from scores to weights, over the keys."""
