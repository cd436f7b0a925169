"""Experiments on summaries: the scores, the baselines, and the figures."""
