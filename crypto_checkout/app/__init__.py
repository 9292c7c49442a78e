"""The composition root: the only room that turns a configuration into working objects.

`server` opens everything that `serve` runs: the modes with their chains and prices (`modes`, `chains`, `prices`), the
services behind the API and the pages (`web`), webhooks and alerts (`webhooks`, `alerts`), and the loops. `offline`
wires single services for commands that work on the data folder beside a running server, or without one. Both use the
same function for the same thing.

Functions here read the configuration and call constructors: no decisions, no SQL. To add a service, construct it in
`web.services` or `web.dashboard_services`; list a new loop in `server`; give a command's service a function in
`offline`.
"""
