"""harness: how robust is an image classifier?

The Python interface mirrors the command line:

    results = harness.run("suites/quickstart.toml")   # plan, compute what is missing
    results.frame()                                   # every cell as a pandas data frame
    model = harness.load_model("torchvision:vgg19@IMAGENET1K_V1")
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# Names are imported on first use: `import harness` and `harness --help` need no torch.
_HOMES = {
    "HarnessError": "harness.core.errors",
    "Results": "harness.runner",
    "load_dataset": "harness.data.load",
    "load_model": "harness.models",
    "load_suite": "harness.spec",
    "run": "harness.runner",
}

__all__ = ["HarnessError", "Results", "__version__", "load_dataset", "load_model", "load_suite", "run"]

if TYPE_CHECKING:
    from harness.core.errors import HarnessError
    from harness.data.load import load_dataset
    from harness.models import load_model
    from harness.runner import Results, run
    from harness.spec import load_suite


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'harness' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
