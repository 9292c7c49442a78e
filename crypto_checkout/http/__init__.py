"""HTTP: the API, the payer's pages, the dashboard and the documentation. The only room that knows status codes.

Each of the four has an area and knows none of the others; the flat modules serve all of them: errors, limits, ETags,
assets, templates. Decisions belong to `services`: a handler parses a request, calls a service, and renders the answer.
Every request comes in through `entry`. Errors become status codes in `errors` alone. Add a module here only if two
areas need it.
"""
