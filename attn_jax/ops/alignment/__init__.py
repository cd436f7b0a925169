"""Attentions whose weights move along the keys from query to query."""
