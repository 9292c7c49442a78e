"""The folder of backups: lists them, makes one, encrypts it, and deletes those that newer ones supersede.

`data_folder.restore` restores them. What a backup holds, and how it is copied from a database in use, is in
`data_folder.snapshot`.
"""
