"""Alembic's entry: migrates the engine that `models.catalogue.database` hands over."""

from typing import Any

from alembic import context
from sqlalchemy import Column

from tvb_batch.models.catalogue.tables import Base

engine = context.config.attributes["engine"]


def can_be_compared(item: Any, _name: str | None, kind: str, reflected: bool, _other: Any) -> bool:
    """Whether Alembic can tell it from the database's own; indexes of expressions it cannot."""
    return kind != "index" or reflected or all(isinstance(part, Column) for part in item.expressions)


with engine.connect().execution_options(writes=True) as connection:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=connection.dialect.name == "sqlite",
        transactional_ddl=True,
        compare_type=True,
        include_object=can_be_compared,
    )
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()
