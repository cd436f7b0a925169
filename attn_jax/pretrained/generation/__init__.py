"""Writing on with a checkpoint: its rules, the choice of tokens and the loop."""
