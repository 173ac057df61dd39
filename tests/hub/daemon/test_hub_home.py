"""What a person says of a hub is an address that hospitals can use."""

import pytest
from pydantic import ValidationError

from wardround.hub.daemon.home import HubSettings
from wardround.wire.hub_address import HubAddress


@pytest.mark.parametrize("address", ["hub.example.org:443", "192.0.2.1:8443", "[2001:db8::1]:443"])
def test_every_address_that_an_invitation_can_name_is_one_of_a_hub(address: str) -> None:
    """A hub could not have an address of IPv6, and the specification says that it can."""
    assert HubSettings(address=address).port == HubAddress.read(address).port


@pytest.mark.parametrize("address", ["hub.example.org", "Hub.example.org:443", "hub:0", "hub:99999", "::1:443", "a b:443", ""])
def test_no_other_text_is_an_address(address: str) -> None:
    """It would be found out when the first invitation is written."""
    with pytest.raises(ValidationError):
        HubSettings(address=address)
