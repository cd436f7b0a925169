"""Driving on a simulated road: what a driver does, and which cars made it so."""

from attn_jax.tasks.driving.task import Driving

__all__ = ["Driving"]
