"""Attentions of linear cost, which never build their weights."""
