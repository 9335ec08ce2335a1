"""Write a migration: `python -m migrations "what changes"` compares the models with all migrations so far."""

import sys
from tempfile import TemporaryDirectory

from alembic import command

from awe.database import alembic_config, newest_revision, open_engine, upgrade


def main() -> None:
    """Write the difference between models and migrations as the next migration."""
    message = " ".join(sys.argv[1:]).strip()
    if not message:
        sys.exit('say what changes: python -m migrations "sources get a proper motion"')
    with TemporaryDirectory() as folder:
        engine = open_engine(f"sqlite:///{folder}/empty.db")
        upgrade(engine)
        config = alembic_config()
        number = f"{int(newest_revision()) + 1:04d}"
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.revision(config, message=message, autogenerate=True, rev_id=number)
        engine.dispose()


if __name__ == "__main__":
    main()
