"""Alembic's entry: the connection comes from ``tandem.database.migrate``, the statements from the .sql files beside."""

from alembic import context

connection = context.config.attributes["connection"]
context.configure(connection=connection, transaction_per_migration=True, version_table_schema="public")
with context.begin_transaction():
    context.run_migrations()
