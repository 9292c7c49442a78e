"""The space on the disk, with the forecast of its end, and the versions of this program."""
