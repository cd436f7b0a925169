"""Detection experiments: the experiment, average precision, and where each query looks."""
