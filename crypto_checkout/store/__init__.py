"""The database: connections, migrations and all SQL, with one module per noun. No decisions, and no network.

A function takes a unit of work first: a `ReadUnit` (one snapshot) or a `WriteUnit` (a savepoint). Services hand a
function of a unit to `Database.read` or `Database.write`. Queued writes share one transaction and one fsync (group
commit), and `write` returns once they are durable. So a unit is short, synchronous and complete: changes that belong
together are made in one unit. Each unit has one frozen `now`. Units that take a few rows by an index are *quick*, and
run on the event loop (`store.database`).

To change a table, add the next numbered file to `migrations/`, never edit an old one, and run `scripts/schema`, which
updates `schema.sql` for readers; what SQL can't do is a step in `migrate.STEPS`. To add a field to a stored dataclass,
add its column: `table.Table` derives the statements, and a test compares every `Table` with the migrations. To add a
noun, add a module to its area, with a `Table` and functions named `insert`, `get`, `listed` and `update`; give each
query an index, and add the query to `tests/store/test_queries.py`, which reads SQLite's plans.

Statements name their columns and parameters, and keep close to SQL that PostgreSQL accepts too: see ARCHITECTURE.md.
"""
