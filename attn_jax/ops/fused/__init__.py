"""Attention in one call, with hook points for what it never builds."""
