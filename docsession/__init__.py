"""The document session of RavenDB on PostgreSQL."""
