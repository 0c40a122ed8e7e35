"""Queries: what a user asks for, recorded as values without a session, and compiled to SQL."""
