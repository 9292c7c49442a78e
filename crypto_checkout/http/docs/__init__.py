"""The documentation at `/docs`: the API reference, made from the OpenAPI document, and the guides. It works offline.

How to add a guide: a Markdown file in `guides`, with its title as the first heading and URLs that begin with
`pages.WRITTEN_FOR`, and its name in `pages.GUIDES`. Tests run the code of the guides, and check their links.
"""
