"""Attentions of linear cost, which imply a map that they never build."""
