import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_a_night_compiles_nothing_that_was_not_compiled_ahead(tmp_path: Path) -> None:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "compiled")}
    subprocess.run([sys.executable, "-m", "awe.kernels.compile_ahead"], check=True, env=environment)
    ahead = {path.name for path in (tmp_path / "compiled").rglob("*.nbc")}
    demo = ["--home", str(tmp_path / "home"), "demo", "--no-serve", "--size", "small"]
    subprocess.run([sys.executable, "-m", "awe.cli", *demo], check=True, env=environment)
    later = {path.name.split("-")[0] for path in (tmp_path / "compiled").rglob("*.nbc") if path.name not in ahead}
    assert len(ahead) > 50
    assert not later
