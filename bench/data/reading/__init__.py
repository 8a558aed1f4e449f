"""Folders, tables, pictures and videos as text and arrays, whoever's they are."""
