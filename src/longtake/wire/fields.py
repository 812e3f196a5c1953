"""Kinds of fields that several bodies share, and the base of them all."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints, model_validator
from pydantic_core import PydanticCustomError


class Body(BaseModel):
    """A request's body: strict types, no field that is not known. ``null`` means that the field is left out."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _drop_nulls(cls, value: Any) -> Any:
        return {key: item for key, item in value.items() if item is not None} if isinstance(value, dict) else value


class View(BaseModel):
    """An answer's body."""

    model_config = ConfigDict(frozen=True)


def _refuse_controls(text: str) -> str:
    for place, character in enumerate(text, start=1):
        if not character.isprintable():
            raise PydanticCustomError(
                "control_character",
                "Character {place} (U+{code}) is a control or invisible character, which is not allowed here.",
                {"place": place, "code": f"{ord(character):04X}"},
            )
    return text


Name = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(_refuse_controls)]
"""An id or a title: short, and nothing in it that a terminal or a log could stumble over."""
