"""The JSON API under `/api/v1`: authentication, limits, idempotency, parsing, and the OpenAPI document.

Everything about an endpoint is in its `Operation`: routes, checks, documentation and examples are derived from it.
Decisions belong to `services`, the shapes of answers to `core.public`.

How to add an endpoint:

1. Add the answer's shape to `core.public.types` (unless it has one), with `core.public.render` and an example in
   `core.public.examples`.
2. Add the request's model to `schemas`: the text under a field is its documentation.
3. Write the handler in the resource's module of `resources`: a `read` returns the answer, a `write` returns the unit of
   work that makes it. Add an `Operation` to the module's `OPERATIONS`, and a new module to `table`.
4. Test it in `tests/http/api`: every answer there is checked against the OpenAPI document.
"""
