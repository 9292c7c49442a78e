"""The public side of the domain: the JSON that the API answers, webhooks carry, the client reads and exports contain.

`types` declares the shape of each resource and documents its fields; `render` builds a resource from domain objects and
writes it as JSON, `examples` makes one up for the documentation. HTTP, request bodies and pages are not here.

To add a field to a resource, declare it with its description in `types`; mypy then asks for it in `render`. Exports
(`exports`) and the fields that payers may read (`http.checkout.view`) are listed there by name, on purpose.
"""
