"""Tests of `harness.report` on records made by hand."""
