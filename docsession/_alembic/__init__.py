"""What docsession adds to Alembic, in whoever's environment: operations for declared indexes, and their comparison.

Alembic imports `_plugin` while it is itself being imported, so nothing here may import `alembic.context` or
`alembic.op`.
"""
