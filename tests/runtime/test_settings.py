"""Settings: read once, checked, silent about secrets."""

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import SettingsError
from runtime.settings import DEFAULT_MODEL, WATCHDOG_SECONDS, load

ANY_TEXT = st.text(st.characters(exclude_characters="\0"))


def test_defaults() -> None:
    """An empty environment gives a home below the user's state folder and no service but ours."""
    settings = load({"HOME": "/home/ada"})

    assert settings.home == Path("/home/ada/.local/state/orchestcode")
    assert settings.database == settings.home / "temporal.db"
    assert settings.temporal_address is None
    assert settings.temporal_namespace == "default"
    assert settings.model_for("coder") == DEFAULT_MODEL
    assert settings.model_key is None
    assert settings.check_slots >= 1
    assert settings.watchdog_seconds == WATCHDOG_SECONDS


@pytest.mark.parametrize(
    ("variables", "home"),
    [
        ({"ORCHESTCODE_HOME": "/srv/oc"}, "/srv/oc"),
        ({"XDG_STATE_HOME": "/state"}, "/state/orchestcode"),
        ({"XDG_STATE_HOME": "relative", "HOME": "/h"}, "/h/.local/state/orchestcode"),
        ({"ORCHESTCODE_HOME": "", "HOME": "/h"}, "/h/.local/state/orchestcode"),
    ],
    ids=["our own variable", "state folder", "relative state folder", "empty is absent"],
)
def test_home(variables: dict[str, str], home: str) -> None:
    """Our own variable decides the home, else the user's state folder."""
    assert load(variables).home == Path(home)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ORCHESTCODE_HOME", "not/absolute"),
        ("ORCHESTCODE_EFFORT", "huge"),
        ("ORCHESTCODE_LOG_LEVEL", "loud"),
        ("ORCHESTCODE_LOG_FORMAT", "xml"),
        ("ORCHESTCODE_CHECK_SLOTS", "0"),
        ("ORCHESTCODE_CHECK_SLOTS", "-1"),
        ("ORCHESTCODE_WATCHDOG_SECONDS", "soon"),
        ("ORCHESTCODE_GRACE_SECONDS", "-5"),
        ("ORCHESTCODE_TEMPORAL_PORT", "70000"),
        ("ORCHESTCODE_UI_PORT", "eighty"),
        ("ORCHESTCODE_METRICS_ADDRESS", "9464"),
        ("TEMPORAL_ADDRESS", "example.org"),
        ("TEMPORAL_ADDRESS", ":7233"),
        ("ANTHROPIC_BASE_URL", "localhost:8080"),
    ],
)
def test_bad_value(name: str, value: str) -> None:
    """A value that cannot be meant is refused in one sentence that names the variable."""
    with pytest.raises(SettingsError) as caught:
        load({"HOME": "/h", name: value})

    assert name in str(caught.value)
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)


@given(name=st.sampled_from(["ORCHESTCODE_UI_PORT", "TEMPORAL_ADDRESS"]), value=ANY_TEXT)
def test_any_value(name: str, value: str) -> None:
    """Whatever a variable holds, it is taken or refused as a setting, never a crash."""
    refusal = name
    try:
        load({"HOME": "/h", name: value})
    except SettingsError as problem:
        refusal = str(problem)

    assert name in refusal


def test_secrets() -> None:
    """Secrets are known to the redaction and appear in no representation of the settings."""
    settings = load(
        {
            "HOME": "/h",
            "ANTHROPIC_API_KEY": "key-in-clear",
            "ANTHROPIC_AUTH_TOKEN": "token-in-clear",
            "TEMPORAL_API_KEY": "service-in-clear",
        }
    )

    assert set(settings.secrets()) == {"key-in-clear", "token-in-clear", "service-in-clear"}
    assert "in-clear" not in repr(settings)
    assert settings.model_key is not None
    assert settings.model_key.get_secret_value() == "key-in-clear"


def test_models() -> None:
    """A role has its own model when it was given one, else the common one."""
    settings = load(
        {"HOME": "/h", "ORCHESTCODE_MODEL": "common", "ORCHESTCODE_MODEL_REVIEWER": "strict"}
    )

    assert settings.model_for("coder") == "common"
    assert settings.model_for("reviewer") == "strict"


def test_profile(tmp_path: Path) -> None:
    """A named profile of the Temporal CLI gives address and namespace; variables win over it."""
    file = tmp_path / "temporal.toml"
    file.write_text('[profile.team]\naddress = "temporal.example:7233"\nnamespace = "team"\n')
    named = {"HOME": "/h", "TEMPORAL_CONFIG_FILE": str(file), "TEMPORAL_PROFILE": "team"}

    assert load(named).temporal_address == "temporal.example:7233"
    assert load(named).temporal_namespace == "team"
    assert load({**named, "TEMPORAL_NAMESPACE": "mine"}).temporal_namespace == "mine"


def test_profile_that_is_not_there(tmp_path: Path) -> None:
    """A profile that does not exist is refused, not silently replaced by the embedded server."""
    file = tmp_path / "temporal.toml"
    file.write_text("")

    with pytest.raises(SettingsError, match="TEMPORAL_PROFILE"):
        load({"HOME": "/h", "TEMPORAL_CONFIG_FILE": str(file), "TEMPORAL_PROFILE": "gone"})


def test_ensure_home(tmp_path: Path) -> None:
    """The home and its folders are for their owner only, even where a looser one existed."""
    settings = load({"ORCHESTCODE_HOME": str(tmp_path / "home")})
    settings.home.mkdir(mode=0o755)

    settings.ensure_home()

    assert settings.home.stat().st_mode & 0o777 == 0o700
    assert settings.run.is_dir()
    assert settings.worktrees.is_dir()


def test_home_that_cannot_be_made(tmp_path: Path) -> None:
    """A home that cannot be made is one sentence, not a traceback."""
    (tmp_path / "file").write_text("")

    with pytest.raises(SettingsError, match="ORCHESTCODE_HOME"):
        load({"ORCHESTCODE_HOME": str(tmp_path / "file" / "home")}).ensure_home()


def test_frozen() -> None:
    """Nobody changes a setting after it was read."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        load({"HOME": "/h"}).home = Path("/")  # type: ignore[misc]
