"""Pure functions on arrays: no files, no database, no web."""
