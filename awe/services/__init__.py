"""Web servers over the database and the data servers."""
