"""Floor 5: the public classes, blocking and async."""
