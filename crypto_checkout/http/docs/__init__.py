"""The documentation at `/docs`: guides, the API reference made from the OpenAPI document, and search. It works offline.

How to add a guide: a Markdown file in `guides`, with its title as the first heading and URLs that begin with
`contents.WRITTEN_FOR`, and its line in `contents.GROUPS`. Tests run the code of the guides, and check their links.
"""
