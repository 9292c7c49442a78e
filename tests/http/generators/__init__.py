"""Foreign tools and the OpenAPI document: generated clients are used, linters and proxies have nothing to say."""
