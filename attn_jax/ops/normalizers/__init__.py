"""Normalizers, which turn scores into weights over the keys."""
