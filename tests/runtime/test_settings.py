"""Settings: read once, checked, without secrets in their representation."""

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import SettingsError
from runtime.settings import DEFAULT_MODEL, WATCHDOG_SECONDS, load

ANY_TEXT = st.text(st.characters(exclude_characters="\0"))


def test_an_empty_environment_gives_the_defaults() -> None:
    """The home is below the user's state folder, and the service is the embedded server."""
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
def test_the_home_follows_the_variables(variables: dict[str, str], home: str) -> None:
    """ORCHESTCODE_HOME decides, else the user's state folder."""
    assert load(variables).home == Path(home)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ORCHESTCODE_HOME", "not/absolute"),
        ("ORCHESTCODE_AUTHOR", "Ada Lovelace"),
        ("ORCHESTCODE_INSTRUCTIONS", "not/there.md"),
        ("ORCHESTCODE_EFFORT", "huge"),
        ("ORCHESTCODE_PRICES", "not/there.json"),
        ("ORCHESTCODE_PRICES", '{"m": 3}'),
        ("ORCHESTCODE_PRICES", '{"m": {"input": 3}}'),
        ("ORCHESTCODE_PRICES", '{"m": {"input": "3", "output": 1}}'),
        ("ORCHESTCODE_PRICES", '{"m": {"input": NaN, "output": 1}}'),
        ("ORCHESTCODE_PRICES", '{"m": {"input": 3, "output": -1}}'),
        ("ORCHESTCODE_PRICES", '{"m": {"input": 3, "output": 1, "reads": 2}}'),
        ("ORCHESTCODE_LOG_LEVEL", "loud"),
        ("ORCHESTCODE_LOG_FORMAT", "xml"),
        ("ORCHESTCODE_WINDOW_TOKENS", "9999"),
        ("ORCHESTCODE_WINDOW_TOKENS", "2000001"),
        ("ORCHESTCODE_WINDOW_TOKENS", "110k"),
        ("ORCHESTCODE_CHECK_SLOTS", "0"),
        ("ORCHESTCODE_CHECK_SLOTS", "-1"),
        ("ORCHESTCODE_WATCHDOG_SECONDS", "soon"),
        ("ORCHESTCODE_GRACE_SECONDS", "-5"),
        ("ORCHESTCODE_REPLY_GRACE_SECONDS", "a while"),
        ("ORCHESTCODE_TEMPORAL_PORT", "70000"),
        ("ORCHESTCODE_UI_PORT", "eighty"),
        ("ORCHESTCODE_METRICS_ADDRESS", "9464"),
        ("TEMPORAL_ADDRESS", "example.org"),
        ("TEMPORAL_ADDRESS", ":7233"),
        ("ANTHROPIC_BASE_URL", "localhost:8080"),
        ("ANTHROPIC_BASE_URL", "https://api.example/v1"),
        ("ANTHROPIC_BASE_URL", "https://api.example/gateway/v1/"),
        ("ANTHROPIC_BASE_URL", "http://h:1\n"),
        ("ANTHROPIC_API_KEY", "sk-ant-first\nhalf"),
        ("ANTHROPIC_API_KEY", "sk-ant-“quoted”"),
        ("ANTHROPIC_AUTH_TOKEN", "to\x7fken"),
        ("ORCHESTCODE_MODEL", "claude\r"),
        ("ORCHESTCODE_HOME", "/h\x1b[2J"),
        ("TEMPORAL_API_KEY", "token\n"),
        ("TEMPORAL_NAMESPACE", "a\u2028b"),
    ],
)
def test_an_invalid_value_is_refused(name: str, value: str) -> None:
    """The error is one sentence that names the variable."""
    with pytest.raises(SettingsError) as caught:
        load({"HOME": "/h", name: value})

    assert name in str(caught.value)
    assert str(caught.value).endswith(".")
    assert str(caught.value).isprintable()
    assert "sk-ant" not in str(caught.value)


@given(name=st.sampled_from(["ORCHESTCODE_UI_PORT", "TEMPORAL_ADDRESS"]), value=ANY_TEXT)
def test_any_value_is_accepted_or_refused(name: str, value: str) -> None:
    """No value raises anything but a `SettingsError`."""
    refusal = name
    try:
        load({"HOME": "/h", name: value})
    except SettingsError as problem:
        refusal = str(problem)

    assert name in refusal


def test_secrets_are_listed_but_not_shown() -> None:
    """The redaction gets them; the representation of the settings does not hold them."""
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


def test_the_line_end_after_a_pasted_key_does_no_harm() -> None:
    """White space around a key is no part of it; a certificate has many lines."""
    settings = load(
        {"HOME": "/h", "ANTHROPIC_API_KEY": " key\n", "TEMPORAL_TLS_CLIENT_CERT_DATA": "a\nb"}
    )

    assert settings.secrets() == ("key",)


def test_a_role_has_its_own_model_or_the_common_one() -> None:
    """ORCHESTCODE_MODEL_<ROLE> overrides ORCHESTCODE_MODEL."""
    settings = load(
        {"HOME": "/h", "ORCHESTCODE_MODEL": "common", "ORCHESTCODE_MODEL_REVIEWER": "strict"}
    )

    assert settings.model_for("coder") == "common"
    assert settings.model_for("reviewer") == "strict"


def test_prices_are_given_as_json_or_as_a_file_of_it(tmp_path: Path) -> None:
    """What a model costs is what its user says, in dollars per million tokens."""
    text = '{"mine": {"input": 1, "output": 5.5, "cached": 0}}'
    file = tmp_path / "prices.json"
    file.write_text(text)

    for value in (text, str(file)):
        settings = load({"HOME": "/h", "ORCHESTCODE_PRICES": value})
        assert settings.prices == {"mine": {"input": 1.0, "output": 5.5, "cached": 0.0}}


def test_a_profile_gives_address_and_namespace(tmp_path: Path) -> None:
    """Variables override the profile of the Temporal CLI."""
    file = tmp_path / "temporal.toml"
    file.write_text('[profile.team]\naddress = "temporal.example:7233"\nnamespace = "team"\n')
    named = {"HOME": "/h", "TEMPORAL_CONFIG_FILE": str(file), "TEMPORAL_PROFILE": "team"}

    assert load(named).temporal_address == "temporal.example:7233"
    assert load(named).temporal_namespace == "team"
    assert load({**named, "TEMPORAL_NAMESPACE": "mine"}).temporal_namespace == "mine"


def test_a_missing_profile_is_refused(tmp_path: Path) -> None:
    """The embedded server does not silently replace it."""
    file = tmp_path / "temporal.toml"
    file.write_text("")

    with pytest.raises(SettingsError, match="TEMPORAL_PROFILE"):
        load({"HOME": "/h", "TEMPORAL_CONFIG_FILE": str(file), "TEMPORAL_PROFILE": "gone"})


@pytest.mark.parametrize(
    ("variables", "takes"),
    [
        pytest.param({}, True, id="its own server: it says what is missing"),
        pytest.param({"TEMPORAL_ADDRESS": "temporal:7233"}, False, id="others may have a key"),
        pytest.param(
            {"TEMPORAL_ADDRESS": "temporal:7233", "ANTHROPIC_API_KEY": "k"}, True, id="a key"
        ),
        pytest.param(
            {"TEMPORAL_ADDRESS": "temporal:7233", "ANTHROPIC_BASE_URL": "http://model"},
            True,
            id="a service that needs none",
        ),
    ],
)
def test_a_worker_without_a_key_takes_no_model_call_from_others(
    variables: dict[str, str], *, takes: bool
) -> None:
    """On a shared Temporal service, calls go to the workers that can make them."""
    assert load({"HOME": "/h", **variables}).takes_model_calls is takes


def test_the_home_is_accessible_to_its_owner_only(tmp_path: Path) -> None:
    """Also when a folder with wider permissions existed."""
    settings = load({"ORCHESTCODE_HOME": str(tmp_path / "home")})
    settings.home.mkdir(mode=0o755)

    settings.ensure_home()

    assert settings.home.stat().st_mode & 0o777 == 0o700
    assert settings.run.is_dir()
    assert settings.worktrees.is_dir()


def test_a_home_that_cannot_be_created_is_refused(tmp_path: Path) -> None:
    """The error names ORCHESTCODE_HOME."""
    (tmp_path / "file").write_text("")

    with pytest.raises(SettingsError, match="ORCHESTCODE_HOME"):
        load({"ORCHESTCODE_HOME": str(tmp_path / "file" / "home")}).ensure_home()


def test_settings_are_immutable() -> None:
    """Assigning to a field raises."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        load({"HOME": "/h"}).home = Path("/")  # type: ignore[misc]
