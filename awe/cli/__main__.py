"""`python -m awe.cli`: the same as `awe`."""

from awe.cli import main

if __name__ == "__main__":
    main()
