"""Benchmarks: each figure beside that of the program it is compared with, in the same run, on the same input."""
