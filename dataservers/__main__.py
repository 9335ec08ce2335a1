"""`python -m dataservers` is `awe-dataserver`."""

import sys

from dataservers.server import main

if __name__ == "__main__":
    sys.exit(main())
