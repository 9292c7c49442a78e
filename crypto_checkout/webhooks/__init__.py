"""One webhook delivery: its signatures, its retry schedule, the addresses it may go to, and one attempt to send it.

- `signing` signs and verifies; `schedule` computes retry delays. Both are pure, and the client uses `signing` too.
- `networks` lists forbidden addresses; `guard` enforces that list where connections are opened.
- `send` makes one attempt and reports its outcome. Below it `connections` keeps those that are open, and bounds what
  comes over them; `stream` is the socket.

Never here: the database, the queue of deliveries, or the decision to try again (`services.webhooks` has them).

To add a signature scheme, extend `signing.DeliverySigner`, and `signing.verify` if our receivers are to check it. A
new way for an attempt to fail is a member of `send.Failure`, an entry of `_FAILURES`, and a sentence.
"""
