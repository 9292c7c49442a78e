"""The merchant's side, under `/dashboard`: pages made on the server, for whoever signed in.

How to add a page:

1. Write a handler in the module of its noun (`payments.py`): `async def listed(visit: Visit) -> Response`. A `Visit` is
   one checked request: `visit.desk` has the services, `visit.livemode` the mode, `visit.path["id"]` the path's
   parameters, `visit.query.get("status")` the filters, `visit.window()` the part of a list that is wanted, and
   `visit.form` what was filled in. Answer with `visit.show("payments/list.html", …)`, or after a write with
   `visit.go("/payments", said="…")`. Errors of the services become pages by themselves; so do wrong cursors.
2. List it at the end of that module: `PAGES = (Page("GET", "/payments", listed), …)`, and add the module to
   `table.PAGES`. Paths are relative to `/dashboard` (live) and to `/dashboard/test`: the same page serves both modes,
   and never both at once. One for keys, secrets or the wallet has `access=Access.CONFIRMED`, and is shown only when the
   password was given lately. A page of the navigation, or one under Settings, has its line in `table.MENUS`; shown are
   those that are in the table.
3. Write through `visit.write(unit, "payment_link.created")`: it runs a unit of work of a service and adds the line to
   the audit trail in the same transaction. Every POST has passed the guard against other sites' forms before.
4. The template extends `dashboard/layout.html` and takes its parts from `dashboard/parts.html` (fields, filters, pager,
   badges). Links are `visit.url("/payments/" ~ id)`, never written by hand: the mode is in them. Moments are written
   with `| when`, amounts with `| money`. No inline script or style; everything works without JavaScript.
5. Test it with `tests.support.dashboard`: `signed_in(app)` gives an httpx client of the dashboard, and
   `signed_in_page(server, browser)` a page of a browser.
"""
