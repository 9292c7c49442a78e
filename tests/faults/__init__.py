"""The whole server as a process, under real faults. The guide Reliability names these tests, one a row."""
