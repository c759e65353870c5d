"""What Alembic runs around every migration; `project.database.migrations` calls it and says for what."""

from alembic import context

from project.database.migrations import render

given = context.config.attributes

context.configure(
    connection=given.get("connection"),
    url=given.get("url"),
    target_metadata=given.get("metadata"),
    include_name=given.get("include_name"),
    literal_binds=context.is_offline_mode(),
    # Changes of columns are written so that databases without ALTER COLUMN can follow them too.
    render_as_batch=True,
    render_item=render,
    autogenerate_plugins=["alembic.autogenerate.*", "alembic.ext.checkconstraint_byname"],
)
with context.begin_transaction():
    context.run_migrations()
