"""Helpers of the tests: the server, its API and pages, real and faulty nodes, receivers, and records by factories.

Nothing here tests anything. A helper that only one test file uses stays in that file.
"""
