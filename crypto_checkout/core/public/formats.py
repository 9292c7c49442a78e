"""Forms of texts in public shapes, as JSON Schema says them: times, decimals, addresses."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any


@dataclass(frozen=True, slots=True)
class TextFormat:
    """What a JSON Schema says of a text beyond that it is one: its format, its pattern, or all that it can be."""

    format: str = ""
    pattern: str = ""
    enum: tuple[str, ...] = ()

    def __get_pydantic_json_schema__(self, schema: Any, describe: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        """Add it to the schema of the text; pydantic looks for a method of this name."""
        said = {"format": self.format, "pattern": self.pattern, "enum": list(self.enum)}
        return {**describe(schema), **{name: value for name, value in said.items() if value}}


Moment = Annotated[str, TextFormat(format="date-time")]
"""A time, ISO 8601 in UTC with a `Z`."""

Url = Annotated[str, TextFormat(format="uri")]
Decimal = Annotated[str, TextFormat(pattern=r"^(0|[1-9][0-9]*)(\.[0-9]+)?$")]
Units = Annotated[str, TextFormat(pattern=r"^(0|[1-9][0-9]*)$")]
Address = Annotated[str, TextFormat(pattern="^0x[0-9a-fA-F]{40}$")]
Hash = Annotated[str, TextFormat(pattern="^0x[0-9a-f]{64}$")]
Currency = Annotated[str, TextFormat(pattern="^[A-Z]{3}$")]
