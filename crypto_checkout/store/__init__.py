"""The database. The only room with SQL: the connections, the migrations, and one module per noun."""
