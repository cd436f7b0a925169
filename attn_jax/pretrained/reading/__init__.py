"""Readers of what a checkpoint folder holds: its configuration, tensors and tokenizer."""
