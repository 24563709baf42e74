"""The order of work where processes share a store: nobody waits while there is a job that nobody is at."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import groupby

from harness.executors.claims import Claims
from harness.plan import Job

Work = list[tuple[Job, list[int]]]
"""Jobs with the positions of their cells that have no record."""

Attempt = Callable[[Job, Sequence[int]], None]

POLL = 2.0
"""Seconds between looks at whether another process has finished."""


def share(work: Work, claims: Claims, attempt: Attempt, wait_for: Callable[[Job], None]) -> None:
    """Do jobs, by data set clean predictions first, and those that other processes are at when these are over.

    Args:
        work: what is to do, in running order.
        claims: who is at what.
        attempt: does a job; what others have finished meanwhile, it has to find out.
        wait_for: told which job of another process is waited for.
    """
    postponed: Work = []
    for _, group in groupby(work, key=lambda entry: entry[0].dataset):
        jobs = list(group)
        _finish([entry for entry in jobs if entry[0].craft is None], claims, attempt, wait_for)
        postponed += _pass_through([entry for entry in jobs if entry[0].craft], claims, attempt)
    _finish(postponed, claims, attempt, wait_for)


def _finish(work: Work, claims: Claims, attempt: Attempt, wait_for: Callable[[Job], None]) -> None:
    while work := _pass_through(work, claims, attempt):
        wait_for(work[0][0])
        time.sleep(POLL)


def _pass_through(work: Work, claims: Claims, attempt: Attempt) -> Work:
    """Do the jobs that no other process is at, and return the others."""
    left: Work = []
    for job, positions in work:
        with claims.claimed(job.cells[0].id) as ours:
            if ours:
                attempt(job, positions)
            else:
                left.append((job, positions))
    return left
