"""The compiled kernels for CPUs, if the package `attn-jax-cpu` is installed."""
