"""The key that lets a site in at the carrier."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from wardround.crypto.login_key import LoginKey, login_pem, login_signed_by
from wardround.values.errors import RunError

ORDER = 39402006196394479212279040100143613805079739270465446667946905279627659399113263569398956308152294913554433653942643


def test_a_signature_is_that_of_its_key_and_its_message_alone(tmp_path: Path) -> None:
    """It proves at enrolment that the site holds the key that it names."""
    key, other = LoginKey.at(tmp_path / "a.key"), LoginKey.at(tmp_path / "b.key")
    signature = key.sign(b"message")
    assert login_signed_by(key.public, signature, b"message")
    assert not login_signed_by(other.public, signature, b"message")
    assert not login_signed_by(key.public, signature, b"other")
    assert LoginKey.at(tmp_path / "a.key").public == key.public


def test_a_second_signature_cannot_be_written_out_of_the_first(tmp_path: Path) -> None:
    """ECDSA knows r, s and r, -s: the same request in other bytes would be another request."""
    key = LoginKey.at(tmp_path / "a.key")
    for number in range(8):
        signature = key.sign(b"%d" % number)
        s = ORDER - int(signature[96:], 16)
        assert not login_signed_by(key.public, signature[:96] + f"{s:096x}", b"%d" % number)


@pytest.mark.parametrize("signature", ["", "0" * 192, "f" * 192, "zz", "0" * 190])
def test_what_is_no_signature_is_false(tmp_path: Path, signature: str) -> None:
    """It comes from strangers, and may not raise."""
    assert not login_signed_by(LoginKey.at(tmp_path / "a.key").public, signature, b"")


@pytest.mark.parametrize("public", ["", "02" + "f" * 96, "04" + "0" * 96, "00", "02" * 200])
def test_what_is_no_key_signs_nothing(tmp_path: Path, public: str) -> None:
    """A stranger chooses it."""
    assert not login_signed_by(public, LoginKey.at(tmp_path / "a.key").sign(b""), b"")


def test_the_carrier_reads_the_same_key(tmp_path: Path) -> None:
    """Flower takes the private key from this file, and the public one in PEM from the roster."""
    key = LoginKey.at(tmp_path / "a.key")
    private = load_pem_private_key((tmp_path / "a.key").read_bytes(), None)
    public = load_pem_public_key(login_pem(key.public))
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    assert private.public_key() == public
    assert private.curve.name == "secp384r1"


def test_a_damaged_key_is_named(tmp_path: Path) -> None:
    """A restored backup may be of another kind."""
    path = tmp_path / "a.key"
    LoginKey.at(path)
    path.write_text("nothing")
    with pytest.raises(RunError, match=r"login key .* is damaged"):
        LoginKey.at(path)
