"""Where go and cargo keep what lock files name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.project.fetched import kept_as

GO_SUM = """\
github.com/BurntSushi/toml v1.4.0 h1:x=
github.com/BurntSushi/toml v1.4.0/go.mod h1:x=
gopkg.in/yaml.v3 v3.0.1/go.mod h1:x=
../../.ssh/a v1.0.0 h1:x=
/etc/a v1.0.0 h1:x=
a* v1.0.0 h1:x=
"""
CARGO_LOCK = """\
[[package]]
name = "shop"
version = "0.1.0"

[[package]]
name = "memchr"
version = "2.7.4"
source = "registry+https://example.org/index"

[[package]]
name = "../../../.ssh/id"
version = "1.0.0"
source = "registry+https://example.org/index"
"""


@pytest.mark.parametrize(
    ("lock", "content", "places"),
    [
        (
            *("go.sum", GO_SUM),
            ("go/pkg/mod/github.com/!burnt!sushi/toml@v1.4.0", "go/pkg/mod//etc/a@v1.0.0"),
        ),
        ("Cargo.lock", CARGO_LOCK, (".cargo/registry/cache/*/memchr-2.7.4.crate",)),
        ("Cargo.lock", "[[package", ()),
        ("Cargo.lock", "package = 1", ()),
        ("go.sum", "", ()),
    ],
)
def test_packages_of_a_lock_file_have_a_place_below_home(
    lock: str, content: str, places: tuple[str, ...]
) -> None:
    """Modules that only count for their go.mod, members of a workspace and names that are none are
    left out.
    """
    assert kept_as(lock, content) == places


@given(st.text(), st.sampled_from(["go.sum", "Cargo.lock"]))
def test_any_lock_file_is_read(content: str, lock: str) -> None:
    """Nothing in one leads out of the caches."""
    assert all(".." not in place for place in kept_as(lock, content))
