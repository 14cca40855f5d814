"""Alembic's environment: migrations run on the connection that `studies.registry.database.migrate` hands over."""

from alembic import context

from studies.registry.schema import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    transaction_per_migration=False,
    transactional_ddl=False,  # the caller's transaction holds all of it
)
context.run_migrations()
