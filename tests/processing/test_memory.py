import subprocess
import sys

import pytest

LARGE = """
import resource
import numpy as np
from awe.processing.memory import reuse_freed_memory
if {kept}:
    reuse_freed_memory()
np.ones(6_000_000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    np.ones(6_000_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems are left alone")
def test_arrays_are_built_of_memory_that_others_left() -> None:
    faults = {}
    for kept in (False, True):
        command = [sys.executable, "-c", LARGE.format(kept=kept)]
        faults[kept] = int(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
    assert faults[True] < 20 < faults[False]
