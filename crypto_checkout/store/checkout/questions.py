"""The questions to payers, as two columns of links and of sessions."""

import json
from collections.abc import Sequence

from crypto_checkout.core.checkout.questions import Asked, CustomField, FieldKind, PayerFields
from crypto_checkout.store.table import Converter


def _fields_to_text(fields: PayerFields) -> str:
    return json.dumps([fields.email, fields.name, fields.note])


def _fields_from_text(text: str) -> PayerFields:
    return PayerFields(*(Asked(each) for each in json.loads(text)))


def _custom_to_text(fields: Sequence[CustomField]) -> str:
    rows = [[each.key, each.label, each.kind, each.required, list(each.options), each.max_length] for each in fields]
    return json.dumps(rows, ensure_ascii=False)


def _custom_from_text(text: str) -> tuple[CustomField, ...]:
    return tuple(
        CustomField(key, label, FieldKind(kind), required, tuple(options), max_length)
        for key, label, kind, required, options, max_length in json.loads(text)
    )


PAYER_FIELDS = Converter("TEXT", _fields_to_text, _fields_from_text)
"""Whether email, name and note are asked for, as `["required", "no", "optional"]`."""

CUSTOM_FIELDS = Converter("TEXT", _custom_to_text, _custom_from_text)
"""A merchant's own questions in their order, each as the list of its fields."""
