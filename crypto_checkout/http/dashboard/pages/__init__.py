"""The dashboard's pages: one module for each noun, with its handlers and, at its end, its `PAGES`.

Routing and access are in `frame`; decisions are in `services`, so that the API makes the same ones.
"""
