"""Market prices of coins: one module for each price source, and `board`, which asks them all and settles a rate.

Here live the sources, their back-off and their reuse; `override` puts the operator's own prices in front, and
`sandbox` serves test mode. Never here: the database, the configuration, or how a rate is judged
(`core.checkout.quotes` does that).

To add a source:

1. Write a module with a class whose constructor takes `source.Connections` and which has the members of
   `source.Source`. A source on the web subclasses `http_source.HttpSource`: time limits, size limits and errors come
   with it.
2. List it in `sources.SOURCES`. The configuration then accepts its name; it is asked by a server whose operator
   names it.
3. Record its answers in `tests/support/exchanges.py`. `tests/prices/test_every_source.py` walks the table, and
   fails for a source without recorded answers.
"""
