"""Rows on their way between files and the database."""
