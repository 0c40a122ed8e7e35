"""Floor 4: a PostgreSQL server that the store runs itself."""
