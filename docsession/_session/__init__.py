"""Floor 3: the unit of work, written once for both faces."""
