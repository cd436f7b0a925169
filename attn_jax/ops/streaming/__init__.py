"""Attention block by block, which never holds a map of queries and keys."""
