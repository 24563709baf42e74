"""Extraction of robust and non-robust features: a declarative card becomes a data set that the registry serves.

One mechanism, `descent`, lowers an objective of a network by changing its input; `assignment` says which images begin,
what they are changed towards, and which label they get.
"""
