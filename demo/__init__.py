"""The session of docsession, shown on the ISO lists of countries, subdivisions, currencies and languages."""
