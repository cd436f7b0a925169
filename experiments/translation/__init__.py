"""Translation experiments: the experiment, its scores, examples and figures."""
