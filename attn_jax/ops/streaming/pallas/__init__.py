"""Streaming attention as Pallas kernels, for GPUs and TPUs."""
