"""The base of every value that crosses a module: frozen, closed, JSON with a schema version, and a digest."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from planner.errors import InputError

SHORT = 60  # characters of a wrong value that an error repeats


class Value(BaseModel):
    """Frozen all the way down; unknown keys, and values that do not fit their field, are refused when it is built."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def from_data(cls, data: Any, origin: str) -> Self:
        """The value in parsed JSON or YAML. Raises InputError naming `origin`, the field and the fix."""
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise InputError(f"{origin}: {describe(error)}") from error


def as_before(value: Value, data: dict[str, Any], *later: str) -> dict[str, Any]:
    """A value's data without the fields that came later and still say what they say by default: so files and digests
    from before there were such fields stay as they are.
    """
    fields = type(value).model_fields
    return {
        name: kept for name, kept in data.items() if name not in later or getattr(value, name) != fields[name].default
    }


class Document(Value):
    """A value with a file form: canonical JSON, so equal values have equal bytes and equal digests.

    Subclasses set the field `schema_name` to a Literal such as 'blockcascade.plan/1': name and major version.
    """

    schema_name: str

    def to_json(self) -> str:
        """Canonical JSON: sorted keys, no spaces, one trailing newline."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), allow_nan=False) + "\n"

    @property
    def digest(self) -> str:
        """sha256 of the canonical JSON, as hex."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    @classmethod
    def from_json(cls, text: str, origin: str = "JSON") -> Self:
        """The inverse of `to_json`. Raises InputError naming `origin` and the place."""
        try:
            data = json.loads(text)
        except ValueError as error:
            raise InputError(f"{origin}: not valid JSON ({error})") from error
        return cls.from_data(data, origin)


def describe(error: ValidationError) -> str:
    """One line for a validation error: each field's path, what is wrong with it and, if short, what was given."""
    parts = []
    for item in error.errors()[:5]:
        path = ".".join(str(key) for key in item["loc"])
        message = (
            "unknown key, remove it" if item["type"] == "extra_forbidden" else item["msg"].removeprefix("Value error, ")
        )
        given = item.get("input")
        shown = f" (got {given!r})" if isinstance(given, str | int | float) and len(repr(given)) <= SHORT else ""
        # What is wrong with the whole names its fields itself.
        parts.append(f"{path}: {message}{shown}" if path else f"{message}{shown}")
    if error.error_count() > 5:
        parts.append(f"and {error.error_count() - 5} more")
    return "; ".join(parts)
