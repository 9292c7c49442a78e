"""The documentation at `/docs`: the API's OpenAPI document and the guides, as pages. It works offline."""
