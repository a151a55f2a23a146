"""Alembic's entry: runs on the connection that `holdfast_execution.adapters.sql.migrate` hands over."""

from alembic import context

from holdfast_execution.adapters.sql.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # SQLite can roll DDL back too, since our own BEGIN IMMEDIATE is around it.
    transactional_ddl=True,
    transaction_per_migration=False,
    version_table="alembic_version",
)
with context.begin_transaction():
    context.run_migrations()
