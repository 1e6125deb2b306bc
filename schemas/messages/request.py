"""What every request is: its method, and the type of what comes back."""

from __future__ import annotations

from typing import Any, ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter

R = TypeVar("R")


class Request(BaseModel, Generic[R]):
    """Something asked of the engine; ``R`` is the type of the answer."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    method: ClassVar[str]

    @classmethod
    def result_type(cls) -> TypeAdapter[Any]:
        """Return the adapter that parses and dumps the answer to this request."""
        for base in cls.__mro__:
            arguments = getattr(base, "__pydantic_generic_metadata__", {}).get("args", ())
            if arguments:
                return TypeAdapter(arguments[0])
        raise TypeError(f"{cls.__name__} does not say what it returns")
