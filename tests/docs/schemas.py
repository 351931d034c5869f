"""JSON Schemas of all files as a hand may write them, under docs/schemas; `python -m tests.docs.write` writes them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core.core_schema import BeforeValidatorFunctionSchema, PlainValidatorFunctionSchema

from planner import action, files, latencies, rows, system
from planner.conditions import Conditions
from planner.latencies import Latencies
from planner.plan import Plan
from planner.problem import Problem
from planner.profile import Profile
from planner.serving.demand import Demand
from planner.sweeping import axes
from planner.sweeping.grid import Grid
from planner.system import System
from planner.trace import Trace
from planner.value import Document
from tests.docs.page import DOCS

FOLDER = DOCS / "schemas"
KINDS: tuple[type[Document], ...] = (Problem, Plan, Trace, Profile, Conditions, Latencies, System, Grid, Demand)
TEXT: JsonSchemaValue = {"type": "string"}
# What may be written short: the forms beside the full one, by the function that reads them.
SHORT: dict[Callable[..., Any], list[JsonSchemaValue]] = {
    latencies._table: [
        {"type": "number", "exclusiveMinimum": 0},
        {"type": "array", "items": {"type": "number", "exclusiveMinimum": 0}, "minItems": 1},
        {"type": "object", "additionalProperties": {"type": "number", "exclusiveMinimum": 0}, "minProperties": 1},
    ],
    system._model: [TEXT, {"type": "object", "properties": {"base": TEXT}, "required": ["base"]}],
    axes.listed: [{"type": ["string", "boolean", "object"]}, {"type": "array", "items": TEXT}],
    axes.numbers: [{"type": ["string", "number"]}, {"type": "array", "items": {"type": ["string", "number"]}}],
}


class _AsWritten(GenerateJsonSchema):
    """Knows what our own validators take, which pydantic cannot."""

    def function_plain_schema(self, schema: PlainValidatorFunctionSchema) -> JsonSchemaValue:
        if schema["function"]["function"] is not rows._validate:
            return super().function_plain_schema(schema)
        form = re.sub(r"\(\?P<\w+>", "(?:", action._FORM.pattern)
        time = {"type": "integer", "minimum": 0, "maximum": rows.MAX_TIME_US}
        return {
            "type": "array",
            "description": "an action, and when it starts and ends, microseconds from the clip's start",
            "prefixItems": [{"type": "string", "pattern": f"^(?:{form})$"}, time, time],
            "minItems": 3,
            "maxItems": 3,
        }

    def function_before_schema(self, schema: BeforeValidatorFunctionSchema) -> JsonSchemaValue:
        full = super().function_before_schema(schema)
        short = SHORT.get(schema["function"]["function"])
        return full if short is None else {"anyOf": [full, *short]}


def name_of(kind: type[Document]) -> str:
    """`blockcascade.plan/2` is in plan.json."""
    named: str = kind.model_fields["schema_name"].default
    return named.partition(".")[2].partition("/")[0] + ".json"


def schema(kind: type[Document]) -> str:
    """Indented, in the order of the fields."""
    found = kind.model_json_schema(schema_generator=_AsWritten)
    if kind is Problem:
        fields = found["properties"]
        fields["model"] = {"anyOf": [fields["model"], TEXT]}
        fields["cluster"] = {"anyOf": [fields["cluster"], files._ShortCluster.model_json_schema()]}
    return json.dumps({"$schema": GenerateJsonSchema.schema_dialect, **found}, indent=1, allow_nan=False) + "\n"
