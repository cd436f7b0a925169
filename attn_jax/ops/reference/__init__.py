"""The formula of fused attention, computed stage by stage or row by row."""
