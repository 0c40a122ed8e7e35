"""Floor 1: entities and JSON documents, and what differs between two states of one."""
