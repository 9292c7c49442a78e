"""The path of every dashboard request: routing, sign-in, cookies, forms, rendering, and the parts that pages share.

Nothing here knows a single page. A field, label or helper belongs here once two pages use it.
"""
