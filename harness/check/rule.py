"""When two accuracies differ."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from harness.core.validation import Closed
from harness.metrics.sign_tests import LEVEL


class Rule(Closed):
    """When two accuracies differ."""

    level: Annotated[float, Field(gt=0, lt=1)] = LEVEL
    """Error rate of the tests of all cells together."""
    tolerance: Annotated[float, Field(ge=0, le=100)] | None = None
    """Percentage points; where given, a larger difference counts and a smaller one does not, whatever the tests say."""

    def differs(self, difference: float, p_value: float) -> bool:
        """Whether a difference of shares, with its p value adjusted for the number of cells, counts."""
        if self.tolerance is None:
            return p_value <= self.level
        # A difference of exactly the tolerance is within it, whatever its floating-point form.
        return 100 * abs(difference) > self.tolerance + 1e-9
