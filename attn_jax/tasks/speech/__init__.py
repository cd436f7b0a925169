"""Spoken strings of digits and letters, or a user's own utterances, with the time of each word."""

from attn_jax.tasks.speech.task import Speech

__all__ = ["Speech"]
