"""docsession in the frameworks: each module needs the extra of its name."""
