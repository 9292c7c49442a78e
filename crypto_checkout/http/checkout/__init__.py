"""The payer's pages: checkout, payment links, the choice of an asset, and their errors. No API keys, no sign-in.

`pages` has the routes, `link_page` a link's, `orders` the form of a link whose payer decides something. `view` decides
what a session's page shows, `arrivals` lists what came for it, `translations` has its texts, `branding` the looks and
contacts of the shop, and `preview` draws the picture of a shared page. Of a session only `PUBLIC_FIELDS` ever leave the
server here, and what the chain shows of its address.

How to add a state of the page: a member of `view.Phase` with its poll interval, a branch in `view._phase`, an icon and
a section in `templates/checkout/outcome.html`, and a headline under the phase's name in every file of `languages/`.

How to add a language: a file of `languages/` with the keys and placeholders of `en.toml`, and a line in
`translations.LANGUAGES`. Tests compare the keys, the placeholders and the plural forms.
"""
