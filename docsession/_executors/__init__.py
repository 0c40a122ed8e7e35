"""Floor 4: request executors, which carry statements to PostgreSQL."""
