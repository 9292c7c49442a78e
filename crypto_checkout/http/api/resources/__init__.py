"""The operations of the API: one module for each resource, with its handlers and, at its end, its `OPERATIONS`.

Handlers translate between `schemas` and `services`, and decide nothing. Events need no service: their stored bodies are
read from `store.webhooks.events`.
"""
