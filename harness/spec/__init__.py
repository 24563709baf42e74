"""What a suite file may say: frozen, validated objects; unknown keys are errors.

`load_suite` gives the suite or an error that lists every mistake in the file. `read_suite` gives what could be read
and the mistakes beside it, so that the plan can look for more and all are reported together. Names of models, attacks
and data sets are looked up later, by the plan.
"""

from __future__ import annotations

from harness.spec.claims import ClaimSpec, ClaimValue
from harness.spec.content import SHOWN, content_sha256
from harness.spec.files import find_suite, read_toml, shipped_suites
from harness.spec.parts import AttackSpec, DatasetSpec, ImagesSpec, ModelSpec, ThreatSpec, TransferSpec, WhiteboxSpec
from harness.spec.reading import Reading, load_suite, read_suite
from harness.spec.suite import Suite
from harness.spec.tables import Best, Denominator, TableSpec, Value

__all__ = [
    "SHOWN", "AttackSpec", "Best", "ClaimSpec", "ClaimValue", "DatasetSpec", "Denominator", "ImagesSpec", "ModelSpec",
    "Reading", "Suite", "TableSpec", "ThreatSpec", "TransferSpec", "Value", "WhiteboxSpec", "content_sha256",
    "find_suite", "load_suite", "read_suite", "read_toml", "shipped_suites",
]  # fmt: skip
