"""What a PostgreSQL server says of a fault, in sentences for the operator."""

import psycopg
import pytest

from crypto_checkout.store.postgresql.faults import explained

REFUSED = 'connection to server at "127.0.0.1", port {} failed: Connection refused'
QUESTION = "\n\tIs the server running on that host and accepting TCP/IP connections?"
ONE = f"connection failed: {REFUSED}{QUESTION}"
CHECK = "Check that it runs, and that [database] url names it: psql with the same URL must reach it."


BOTH = (
    f"{ONE.format(5433)}\nMultiple connection attempts failed. All failures were:\n"
    f"- host: '127.0.0.1', port: '5432', hostaddr: '127.0.0.1': {ONE.format(5432)}\n"
    f"- host: '127.0.0.1', port: '5433', hostaddr: '127.0.0.1': {ONE.format(5433)}"
)
NO_SOCKET = 'connection to server on socket "/tmp/.s.PGSQL.5432" failed: No such file or directory'
LOCALLY = "\n\tIs the server running locally and accepting connections on that socket?"


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (ONE.format(5432), REFUSED.format(5432)),
        (BOTH, f"{REFUSED.format(5432)}; {REFUSED.format(5433)}"),
        (f"connection is bad: {NO_SOCKET}{LOCALLY}", NO_SOCKET),
        ("failed to resolve host 'db': unknown", "failed to resolve host 'db': unknown"),
    ],
)
def test_where_no_server_answers_its_words_are_a_sentence_before_what_to_check(said: str, words: str) -> None:
    assert explained(psycopg.OperationalError(said)) == f"{words}. {CHECK}"
