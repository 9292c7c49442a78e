"""The files of the data folder: its lock, backups, integrity checks, and small notes beside the database.

File names are public: operators and scripts rely on them.
"""
