"""Queries across areas for people: the search for sessions, and the payments of an export. Nothing is written here."""
