"""A text that no log, error or representation shows."""

from dataclasses import dataclass, field

from typing_extensions import override


@dataclass(frozen=True)
class Secret:
    """A credential; only who asks for its value gets it."""

    value: str = field(repr=False)

    def get_secret_value(self) -> str:
        """Return the text itself."""
        return self.value

    @override
    def __str__(self) -> str:
        """Return what may be shown in its place."""
        return "**********"
