"""How long it takes to compile the kernels, which the times of all other measurements leave out."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.child import Work


def compile_awe(folder: Path) -> Work:
    """Compile ahead what is not compiled yet in the folder, as `awe doctor --compile` does."""
    kept = folder / "compiled"

    def call() -> None:
        subprocess.run(
            [sys.executable, "-m", "awe.kernels.compile_ahead"],
            check=True, capture_output=True, env=os.environ | {"NUMBA_CACHE_DIR": str(kept)},
        )  # fmt: skip

    def tell(_: Any) -> dict[str, Any]:
        files = list(kept.rglob("*.nbc"))
        return {"compiled functions": len(files), "MB on disk": sum(file.stat().st_size for file in files) / 1e6}

    return Work(call, tell=tell, warm=False, external=True)
