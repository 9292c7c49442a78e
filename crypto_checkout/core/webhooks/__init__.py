"""Webhooks: the types of events, endpoints, and deliveries as values.

Signatures, retry times and the guard of outgoing requests live in `crypto_checkout.webhooks`. To add a type of event,
see `core.webhooks.events`.
"""
