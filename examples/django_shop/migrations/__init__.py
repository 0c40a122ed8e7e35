"""Migrations of the stock; those of the documents are docsession's."""
