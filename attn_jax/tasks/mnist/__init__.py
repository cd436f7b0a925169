"""MNIST: where it comes from, how it is verified, and the task."""
