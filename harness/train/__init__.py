"""Training: a declarative card becomes a checkpoint that the registry serves."""
