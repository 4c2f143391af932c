# Alembic finds nothing to change in what the model made.
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from model import Base, engine

with engine.begin() as connection:
    connection.exec_driver_sql("CREATE EXTENSION IF NOT EXISTS flake")
Base.metadata.create_all(engine)
with engine.connect() as connection:
    context = MigrationContext.configure(
        connection, opts={"compare_type": True, "compare_server_default": True})
    differences = compare_metadata(context, Base.metadata)
    assert not differences, differences
