"""Segmentation experiments: the experiment, and the scores of its gates."""
