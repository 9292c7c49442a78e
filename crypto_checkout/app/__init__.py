"""The composition root: the only room that turns a configuration into working objects.

`server` opens everything that `serve` runs: the modes with their chains and prices (`modes`, `chains`, `prices`), the
services behind the API and the pages (`web`), webhooks and alerts (`webhooks`, `alerts`), and the loops. `offline`
wires single services for commands that work on the data folder beside a running server, or without one. Both use the
same function for the same thing. `doctor` opens what it checks, one part at a time.

Functions here read the configuration and call constructors: no SQL, and no decisions about payments. To add a service,
construct it in `web.services` or `web.dashboard_services`; list a new loop in `server`, or in `modes` if each mode has
its own; give a command's service a function in `offline`.
"""
