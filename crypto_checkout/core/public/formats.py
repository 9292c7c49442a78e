"""String formats of public fields, as JSON Schema expresses them: times, decimals, addresses."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any


@dataclass(frozen=True, slots=True)
class TextFormat:
    """The constraints of a string in JSON Schema: its format, its pattern, or its possible values."""

    format: str = ""
    pattern: str = ""
    enum: tuple[str, ...] = ()

    def __get_pydantic_json_schema__(self, schema: Any, describe: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        """Add the constraints to the string's schema; pydantic looks for a method of this name."""
        constraints = {"format": self.format, "pattern": self.pattern, "enum": list(self.enum)}
        return {**describe(schema), **{name: value for name, value in constraints.items() if value}}


Moment = Annotated[str, TextFormat(format="date-time")]
"""A time in ISO 8601, in UTC with a `Z`."""

Url = Annotated[str, TextFormat(format="uri")]
Decimal = Annotated[str, TextFormat(pattern=r"^(0|[1-9][0-9]*)(\.[0-9]+)?$")]
Units = Annotated[str, TextFormat(pattern=r"^(0|[1-9][0-9]*)$")]
Address = Annotated[str, TextFormat(pattern="^0x[0-9a-fA-F]{40}$")]
Hash = Annotated[str, TextFormat(pattern="^0x[0-9a-f]{64}$")]
Currency = Annotated[str, TextFormat(pattern="^[A-Z]{3}$")]
