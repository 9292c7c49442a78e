"""The files of the data folder: its lock, backups, and small notes beside the database that commands read.

File names are public: operators and scripts rely on them.
"""
