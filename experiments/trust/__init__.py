"""Rates of false verdicts of the report card, on models whose truth is known."""
