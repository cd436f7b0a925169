"""Attentions that align queries and keys: their weights move along the keys."""
