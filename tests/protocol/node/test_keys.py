"""Keys with a life: one erased key erases all that it wraps, and no key shows in text."""

import logging
import os
import stat
import traceback
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partner_node.config import load_config
from protocol.errors import RefusedError, UsageError
from protocol.files import kept_key
from protocol.he.streams import fresh_key
from protocol.node.keys import FILE, Keeper, KeyErasedError, keeper_of

NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=8)


@given(st.binary(max_size=64), st.lists(NAMES, max_size=3), st.lists(NAMES, max_size=3))
def test_a_key_unwraps_for_its_party_and_context_alone(secret, context, other):
    keeper = Keeper("telecom", fresh_key())
    wrapped = keeper.wrap(secret, *context)
    assert keeper.unwrap(wrapped, *context) == secret
    assert secret not in wrapped or len(secret) < 4
    assert keeper.wrap(secret, *context) != wrapped, "each wrapping has a nonce of its own"
    for wrong in [Keeper("telecom", fresh_key()), Keeper("bureau", keeper.key)]:
        with pytest.raises(KeyErasedError):
            wrong.unwrap(wrapped, *context)
    if other != context:
        with pytest.raises(KeyErasedError):
            keeper.unwrap(wrapped, *other)
    for damaged in (b"", wrapped[:11], wrapped[:-1], bytes(len(wrapped))):
        with pytest.raises(KeyErasedError):
            keeper.unwrap(damaged, *context)


def test_erasing_the_wrapping_key_erases_all_that_it_wraps(tmp_path):
    secrets = tmp_path / "secrets"
    wrapped = keeper_of("telecom", secrets).wrap(b"s" * 32, "run")
    assert keeper_of("telecom", secrets).unwrap(wrapped, "run") == b"s" * 32
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o700
    assert stat.S_IMODE((secrets / FILE).stat().st_mode) == 0o600
    (secrets / FILE).unlink()
    with pytest.raises(
        RefusedError, match="wrapping key in its secrets was erased or replaced; open a new run"
    ) as error:
        keeper_of("telecom", secrets).unwrap(wrapped, "run")
    assert error.value.exit_code == 5


def test_no_key_shows_in_a_repr_an_error_or_a_log(tmp_path, caplog):
    keeper, secret = keeper_of("telecom", tmp_path / "secrets"), fresh_key()
    wrapped = keeper.wrap(secret, "run")
    (tmp_path / "secrets" / FILE).write_bytes(fresh_key())
    with caplog.at_level(logging.DEBUG), pytest.raises(KeyErasedError) as error:
        keeper_of("telecom", tmp_path / "secrets").unwrap(wrapped, "run")
    shown = "".join([repr(keeper), f"{error.value!r}", caplog.text, *traceback.format_exception(error.value)])
    for key in (secret, keeper.key):
        assert key.hex() not in shown
        assert repr(key)[2:-1] not in shown


@pytest.mark.parametrize("size", [0, 1, 31, 33])
def test_a_key_file_that_is_not_whole_is_named_and_never_used(tmp_path, size):
    """An empty file, as a power cut may leave it, would make every derived key guessable."""
    (tmp_path / "partner.key").write_bytes(b"k" * size)
    with pytest.raises(UsageError, match=f"partner.key holds {size} bytes, and a key has 32; put the right file back"):
        kept_key(tmp_path / "partner.key")


def test_a_key_is_on_the_disk_before_it_is_used(tmp_path, monkeypatch):
    synced: list[str] = []
    real = os.fsync
    monkeypatch.setattr(
        os, "fsync", lambda handle: (synced.append(os.readlink(f"/proc/self/fd/{handle}")), real(handle))
    )
    assert len(kept_key(tmp_path / "a.key")) == 32
    assert synced == [str(tmp_path / "a.key"), str(tmp_path)]


@pytest.mark.parametrize(
    ("key", "place"), [("secrets", "state"), ("secrets", "state/secrets"), ("anchor", "state/anchor")]
)
def test_secrets_and_anchor_lie_outside_of_the_state_folder(tmp_path: Path, key, place):
    path = tmp_path / "node.toml"
    lines = [
        'schema = 1\nparty = "telecom"\nbank = "bank"', f'{key} = "{place}"',
        '[data]\nsource = {kind = "csv", path = "t.csv"}\nid = ["id"]',
    ]  # fmt: skip
    path.write_text("\n".join(lines))
    with pytest.raises(
        UsageError, match=rf"^telecom: {key} lies in the state folder, and has to lie outside of it; set"
    ):
        load_config(path)
    path.write_text("\n".join([lines[0], f'{key} = "elsewhere"', lines[2]]))
    assert getattr(load_config(path), key) == tmp_path / "elsewhere"
