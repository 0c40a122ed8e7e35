"""A project whose tests are Django's."""
