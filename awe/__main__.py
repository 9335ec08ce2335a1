"""`python -m awe` is the `awe` command."""

from awe.cli import main

if __name__ == "__main__":
    main()
