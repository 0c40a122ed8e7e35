"""The public names of the packages beside the session: a promise, so a list that only grows."""

CONTRIB = {
    "docsession.contrib.otel": ["instrument"],
}
