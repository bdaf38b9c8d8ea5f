"""What every contract shares: frozen values, and strictness where a person is the sender."""

import re
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, StringConstraints


class Contract(BaseModel):
    """A frozen value that crosses a Temporal boundary.

    Fields added later carry defaults and unknown ones are ignored, so that a history written by
    one release is read by the next and by the one before.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")


class HumanInput(Contract):
    """A value that a person sends: an unknown key is a typing error, never silently dropped."""

    model_config = ConfigDict(frozen=True, extra="forbid")


ObjectId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}$")]
"""The id of an object in the store, durable before it enters history."""

TaskId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$")]
"""A task's name within its plan: lower-case letters, digits and hyphens, at most 40 characters."""

_SURROGATE = re.compile("[\ud800-\udfff]")


def _escaped(value: object) -> object:
    """Write bytes that are not UTF-8, which Python has as surrogates, in hexadecimal."""
    return _SURROGATE.sub(_hexadecimal, value) if isinstance(value, str) else value


def _hexadecimal(found: re.Match[str]) -> str:
    number = ord(found[0])
    return f"\\x{number - 0xDC00:02x}" if 0xDC80 <= number <= 0xDCFF else f"\\u{number:04x}"


PathText = Annotated[str, BeforeValidator(_escaped)]
"""A path or another name from outside, which may hold bytes that no message can."""

ShortText = Annotated[str, StringConstraints(max_length=1_000)]
"""A text short enough for history."""
