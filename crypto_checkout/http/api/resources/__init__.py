"""The operations of the API: one module for each resource, with its handlers and, at its end, its `OPERATIONS`.

Handlers translate between `schemas` and `services`; they decide nothing, and read or write no table by themselves.
"""
