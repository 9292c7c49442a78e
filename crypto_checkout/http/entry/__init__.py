"""The way of every request before an area sees it: the connection, the client's address, what is refused to all.

`connection_limits` guards what uvicorn reads and writes; `application` is the one layer around every handler.
"""
