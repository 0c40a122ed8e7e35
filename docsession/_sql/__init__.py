"""Floor 2: tables, and the text of every statement that the session sends."""
