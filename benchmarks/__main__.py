"""`python -m benchmarks` is `awe bench`."""

import sys

from awe.cli import main

if __name__ == "__main__":
    sys.argv[1:1] = ["bench"]
    sys.exit(main())
