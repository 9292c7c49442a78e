"""Webhook endpoints, events, and the outbox of deliveries. Sending them is `services.webhooks`.

An event is stored in the write that causes it, with one delivery per subscribed endpoint.
"""
