"""Webhooks, from a change to its delivery: events, endpoints, and the loop that sends.

Every change calls `Outbox.record` in its own unit of work: the event and a delivery for each subscribed endpoint are
stored with it, or not at all. `dispatcher` sends the deliveries that are due, as fast as `pace` allows each endpoint,
and `attempts` records the results, schedules retries and disables endpoints that only fail. `endpoints` and
`deliveries` are the merchant's actions. `endpoint_cleanup` abandons the deliveries of disabled endpoints, and deletes
the rows of deleted ones; `lost_secrets` disables those whose secret can't be read. `forwarder` serves
`crypto-checkout listen`.

Signing, retry schedule and the guard against private addresses are in the room `webhooks`. A new event type is added
in `core.webhooks.events`.
"""
