"""Routes for the table of operations: authenticate, check scope and limit, parse, run and answer, in this order."""

import asyncio
import contextlib
import hashlib
import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from datetime import datetime
from weakref import WeakValueDictionary

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Scope

from crypto_checkout import encryption
from crypto_checkout.core.errors import (
    IdempotencyKeyReused,
    InsufficientScope,
    InvalidApiKey,
    InvalidQuery,
    MethodNotAllowed,
    MissingApiKey,
    RevokedApiKey,
)
from crypto_checkout.core.owner.api_key import ApiKey
from crypto_checkout.core.public import render
from crypto_checkout.http import body_limit, errors, etags
from crypto_checkout.http.api import parsing
from crypto_checkout.http.api.operations import PREFIX, STORED, ApiServices, Call, Operation, Read, Resource, Unit
from crypto_checkout.http.entry import kept_answers
from crypto_checkout.http.entry.kept_answers import Count, Holds
from crypto_checkout.http.headers import fields, header
from crypto_checkout.http.rate_limit import VARYING_HEADERS, RateLimit, client_name, wrong_key_limit
from crypto_checkout.services.owner.api_keys import ApiKeys
from crypto_checkout.services.upkeep.retention import IDEMPOTENCY
from crypto_checkout.store import idempotency
from crypto_checkout.store.database import ReadUnit, WriteUnit
from crypto_checkout.store.idempotency import StoredAnswer

_PRIVATE = [(b"cache-control", b"private, no-cache")]
_MOST_KEY_CHARACTERS = 255
_COUNTED = "counted_allowance"


class _AnsweredElsewhereError(Exception):
    """Another process stored the answer to this idempotency key first: the unit that would store another is undone."""


class Api:
    """The API of both modes."""

    def __init__(self, services: ApiServices, keys: ApiKeys, limit: RateLimit, clock: Callable[[], datetime]) -> None:
        self._services = services
        self._keys = keys
        self._limit = limit
        self._wrong_keys = wrong_key_limit(services.db.processes)
        self._clock = clock
        self._locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    def routes(self, operations: Sequence[Operation]) -> list[Route]:
        """Return one route per path; it takes every method, and answers an unsupported one with the supported ones."""
        by_path: dict[str, dict[str, Operation]] = {}
        for operation in operations:
            by_path.setdefault(operation.path, {})[operation.method] = operation
        return [self._route(path, by_method) for path, by_method in by_path.items()]

    def _route(self, path: str, by_method: dict[str, Operation]) -> Route:
        allow = ", ".join(sorted({"OPTIONS", *by_method, *(["HEAD"] if "GET" in by_method else [])}))

        async def handle(request: Request) -> Response:
            if request.method == "OPTIONS":
                # No CORS headers: keys belong on servers, and browsers refuse without them.
                return Response(status_code=204, headers={"Allow": allow})
            operation = by_method.get("GET" if request.method == "HEAD" else request.method)
            if operation is None:
                raise MethodNotAllowed(
                    f"{request.method[:20]} is not possible here; this path takes {allow}.", allow=allow
                )
            return await self._handle(request, operation)

        route = Route(PREFIX + path, handle, name=path)
        route.methods = None  # every method; Starlette would allow GET and HEAD only
        return route

    async def _handle(self, request: Request, operation: Operation) -> Response:
        token = _token(request)
        key = await self._authenticate(request, token)
        allowance = request.scope.get(_COUNTED) or self._limit.take(key.id)
        request.scope["answer_headers"] += allowance.headers()
        _check_scope(key, operation)
        allowance.check()
        query = parsing.parse_query(request.scope["query_string"], operation.query)
        if operation.read is not None:
            call = Call(self._services, key, request.path_params, query, None)
            body = _written(await operation.read(call))
            if operation.follows_from_database:
                holds = _holds(operation.read, call, body)
                kept_answers.allow(request.scope, self._count(token), holds, VARYING_HEADERS, body)
            return etags.answer(request, body, _PRIVATE) if operation.has_tag else _json(body, operation.status)
        raw = await body_limit.read(request)
        parsed = parsing.parse(raw, header(request.scope, b"content-type"), operation.body)
        call = Call(self._services, key, request.path_params, query, parsed)
        return await self._write(request, operation, call, raw)

    def _count(self, token: str) -> Count:
        """Return what counts a request by a key whose answer is kept."""

        def count(scope: Scope) -> dict[bytes, bytes] | None:
            key = self._keys.recall(token, self._clock())
            if key is None or key.revoked_at is not None:
                return None
            allowance = scope[_COUNTED] = self._limit.take(key.id)
            return allowance.varying_headers() if allowance.is_allowed else None

        return count

    async def _authenticate(self, request: Request, token: str) -> ApiKey:
        try:
            return await self._keys.check(token, self._clock())
        except (InvalidApiKey, RevokedApiKey):
            # A right key works meanwhile, from the same address too.
            allowance = self._wrong_keys.take(client_name(request.scope["client_address"]))
            if not allowance.is_allowed:
                request.scope["answer_headers"] += allowance.headers()
                allowance.check()
            raise

    async def _write(self, request: Request, operation: Operation, call: Call, raw: bytes) -> Response:
        assert operation.write is not None, "it reads or it writes"
        name = _idempotency_key(request)
        if name is None:
            answer = await self._services.db.write(await operation.write(call), quick=True)
            return _json(_written(answer), operation.status)
        digest = _digest(request, raw)
        async with self._lock(call.key.id, name):
            stored = await self._services.db.read(lambda unit: _stored(unit, call.key.id, name, digest), quick=True)
            if stored is None:
                try:
                    return await self._run_once(request, operation, call, name, digest)
                except _AnsweredElsewhereError:
                    stored = await self._services.db.read(lambda unit: _stored(unit, call.key.id, name, digest))
            assert stored is not None, "an answer stays for a day"
            return self._replayed(stored, call.key.id, name)

    async def _run_once(self, request: Request, operation: Operation, call: Call, name: str, digest: str) -> Response:
        """Run an operation, and store its answer in the same transaction.

        Raises _AnsweredElsewhereError if another process did so meanwhile; then nothing of it stays.
        """
        assert operation.write is not None, "it reads or it writes"

        def record(unit: WriteUnit, status: int, text: str, *, is_secret: bool = False) -> StoredAnswer:
            place = encryption.of_answer(call.key.id, name)
            answer = StoredAnswer(digest, status, self._services.db.cipher.encrypt(text, place) if is_secret else text)
            is_first = idempotency.record(unit, call.key.id, name, answer, unit.now - IDEMPOTENCY)
            if not is_first:
                raise _AnsweredElsewhereError
            return replace(answer, body=text)

        def work_and_record(unit: WriteUnit, work: Unit) -> StoredAnswer:
            answer = work(unit)
            is_secret = not isinstance(answer, bytes) and "secret" in answer
            return record(unit, operation.status, _written(answer).decode(), is_secret=is_secret)

        repeatable = call._replace(request=f"{call.key.id}/{name}/{digest}")
        try:
            work: Unit = await operation.write(repeatable)
            done = await self._services.db.write(lambda unit: work_and_record(unit, work), quick=True)
        except STORED as error:
            refusal = json.dumps(errors.body(error, request.scope["request_id"]), ensure_ascii=False)
            status = errors.status(type(error))
            done = await self._services.db.write(lambda unit: record(unit, status, refusal), quick=True)
        return _json(done.body, done.status_code)

    def _replayed(self, answer: StoredAnswer, api_key_id: str, name: str) -> Response:
        body: str | None = answer.body
        if encryption.is_encrypted(answer.body):
            body = self._services.db.cipher.decrypt(answer.body, encryption.of_answer(api_key_id, name))
        if body is None:
            raise IdempotencyKeyReused(
                "The answer to this request held a secret and can't be read any more, since secret.key was lost."
            )
        response = _json(body, answer.status_code)
        response.headers["Idempotent-Replayed"] = "true"
        return response

    @contextlib.asynccontextmanager
    async def _lock(self, api_key_id: str, name: str) -> AsyncIterator[None]:
        """Run requests with the same idempotency key one at a time, in this process; `_run_once` says how in others."""
        lock = self._locks.setdefault((api_key_id, name), asyncio.Lock())
        async with lock:
            yield


def _holds(read: Read, call: Call, body: bytes) -> Holds:
    """Return what tells whether an operation still reads the same."""

    async def holds() -> bool:
        return _written(await read(call)) == body

    return holds


def _token(request: Request) -> str:
    """Return the API key of a request. Raises MissingApiKey."""
    scheme, _, token = header(request.scope, b"authorization").partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token:
        raise MissingApiKey("Send your API key in a header: Authorization: Bearer ck_test_…")
    return token


def _check_scope(key: ApiKey, operation: Operation) -> None:
    if operation.test_mode_only and key.livemode:
        raise InsufficientScope("Test helpers work with test keys (ck_test_…) only.")
    if operation.scope not in key.scopes:
        raise InsufficientScope(
            f"This key lacks the scope {operation.scope}; `crypto-checkout keys create --scope {operation.scope}` "
            "makes one that has it."
        )


def _idempotency_key(request: Request) -> str | None:
    if b"idempotency-key" not in fields(request.scope):
        return None
    values = request.headers.getlist("idempotency-key")
    problem = _idempotency_key_problem(values)
    if problem is not None:
        raise InvalidQuery(
            f"Idempotency-Key: send one, of 1 to {_MOST_KEY_CHARACTERS} visible ASCII characters; got {problem}.",
            param="Idempotency-Key",
        )
    return values[0]


def _idempotency_key_problem(values: Sequence[str]) -> str | None:
    if len(values) > 1:
        return f"{len(values)} of them"
    name = values[0]
    if not 1 <= len(name) <= _MOST_KEY_CHARACTERS:
        return f"{len(name)} characters"
    return None if all("!" <= character <= "~" for character in name) else "others"


def _digest(request: Request, raw: bytes) -> str:
    """Hash a request's method, path, query and body; not `request.url`, which trusts the Host header."""
    scope = request.scope
    target = json.dumps([scope["method"], scope["path"], scope["query_string"].decode("latin-1")])
    return hashlib.sha256(target.encode() + raw).hexdigest()


def _stored(unit: ReadUnit, api_key_id: str, name: str, digest: str) -> StoredAnswer | None:
    answer = idempotency.find(unit, api_key_id, name, unit.now - IDEMPOTENCY)
    if answer is not None and answer.request_sha256 != digest:
        raise IdempotencyKeyReused("This Idempotency-Key came with another request within the last 24 hours.")
    return answer


def _written(answer: Resource | bytes) -> bytes:
    return answer if isinstance(answer, bytes) else render.json_bytes(answer)


def _json(body: str | bytes, status: int) -> Response:
    return Response(body, status, media_type="application/json")
