"""What a request asks of models: by options, else by the variables of the shell."""

from collections.abc import Mapping

from contracts.model_choice import Effort
from runtime.settings import ROLES, Settings


def chosen_models(
    settings: Settings,
    options: Mapping[str, str | None],
    effort: Effort | None,
    fallback: str | None = None,
) -> dict[str, str]:
    """Return the fields of a request that name its models, without those that are not chosen.

    `options` are models by role, "" for all. An option counts before every variable; one for all
    roles leaves no role to a variable.
    """
    environ = settings.environment
    variables = {"": environ.get("ORCHESTCODE_MODEL")}
    variables |= {role: settings.role_models.get(role) for role in ROLES}
    if options[""]:
        variables = {}
    models = {role: options[role] or variables.get(role) for role in options}
    fields = {f"model_{role}" if role else "model": model for role, model in models.items()}
    fields["fallback_model"] = fallback or settings.fallback_model
    fields["effort"] = effort or settings.effort
    return {name: value for name, value in fields.items() if value}
