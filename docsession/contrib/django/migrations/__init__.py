"""One migration for each of docsession's revisions; a test sees to it."""
