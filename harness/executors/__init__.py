"""Executors decide where and when jobs run, never what they answer. `local` runs them in this process, in order."""
