"""The merchant's pages, under `/dashboard`: rendered on the server, for the owner who is signed in.

`table` lists the pages and the navigation, `pages` has their handlers, `frame` what every request goes through.

How to add a page:

1. Write a handler in the module of its noun, such as `pages/payments.py`:
   `async def index(request: DashboardRequest) -> Response`. The request has the services by area
   (`request.services.checkout.sessions`), the mode (`request.livemode`), the parameters of path and query
   (`request.path_params["id"]`, `request.query_params.get("status")`), the part of a list to show (`request.window()`)
   and the submitted form (`request.form`). Answer with `request.render("payments/list.html", …)`, or after a write with
   `request.redirect("/payments", notice="…")`. Errors raised by the services, and invalid cursors, become pages by
   themselves.
2. List it at the end of that module: `PAGES = (DashboardPage("GET", "/payments", index), …)`; add a new module to
   `table.PAGES`. Paths are relative to `/dashboard` (live mode) and to `/dashboard/test`: a page serves both modes, one
   at a time. Pages for keys, secrets or the wallet have `access=Access.CONFIRMED` and need the password entered
   recently. Pages of the navigation or under Settings have a line in `table.MENUS`.
3. Write through `request.write(unit, "payment_link.created")`: it runs a service's unit of work and records it in the
   audit trail, in one transaction. POST requests from other sites are rejected before the handler.
4. The template extends `dashboard/layout.html` and imports fields, filters, pager and badges from
   `dashboard/parts.html`. Write links as `request.url("/payments/" ~ id)`, which keeps the mode; format moments with
   `| when` and amounts with `| money`. No inline scripts or styles; everything works without JavaScript.
5. Test it with `tests.support.dashboard`: `signed_in(app)` returns an httpx client of the dashboard,
   `signed_in_page(server, browser)` a page of a browser.
"""
