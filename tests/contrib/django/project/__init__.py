"""An app of a project that uses docsession, with documents beside a model."""
