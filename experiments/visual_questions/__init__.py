"""Experiments on questions about pictures: the experiment, and where it looks."""
