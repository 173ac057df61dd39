"""Eight words that two persons compare by telephone, so that each knows whose keys the other side holds.

docs/spec/network.md, 3.4.

    keys of both sides --canonical JSON--> scrypt --> 8 bytes --> 8 of 256 words

A change of any key gives other words. Whoever wants keys of his own to have the words of another's keys tries 2^64 times on
average, and scrypt makes each try take about a tenth of a second and 32 MiB.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

from wardround.values.canonical import canonical_json

COUNT = 8
WORDS = tuple(
    """
    acorn agent album alley almond alpine amber anchor angel ankle april arcade arrow artist atlas atom august autumn avenue
    badge bakery balcony bamboo banjo barrel basil beach bedroom beetle bell berry bicycle biscuit blanket blossom board
    bonnet border bronze bubble bucket buffalo bumper button cabin cactus camel canoe carpet castle cedar cement chalk
    chimney cinema circus clock cobalt cocoa coffee compass copper cousin crayon cricket crown crystal cupboard curtain
    daisy dancer denim desert diamond doctor dolphin domino donkey drawer drum eagle earth echo eclipse elbow elephant
    emerald engine envelope evening fabric farmer feather fiddle finger flag flute forest fossil fountain fridge galaxy
    garden gazelle geyser giant giraffe glacier globe granite guitar harbor heron horizon hotel igloo indigo insect iris
    island ivory jaguar jasmine jersey jigsaw journal jungle kayak kitchen kiwi koala ladder lagoon lamp lantern laundry
    leopard letter library lilac linen lizard lobster lotus lunch magnet marble meadow metal midnight mirror mitten morning
    mosaic muffin museum napkin nectar nickel noodle nugget nutmeg ocean octopus office olive onion opal opera orange orchid
    ostrich oxygen palace panda paper peanut pelican penguin picnic pigeon pilot pirate polar pony potato prairie pretzel
    pumpkin puzzle pyramid quail queen rabbit raft rainbow razor recipe reptile ribbon rodeo rubber saffron scarf school
    season shelter sierra silver sketch skipper soccer sofa spider spoon squid stable sugar summit sunset swallow symbol
    teapot temple tennis thunder toast tractor treasure trumpet tulip tunnel turtle umbrella unicorn vacuum vanilla velvet
    village vinegar violin volcano voyage vulture waffle walnut weasel whistle window wolf wooden yacht yogurt zebra zenith
    zigzag
    """.split()  # noqa: SIM905  (as a list it is ten times as long)
)
"""256 words of daily life. No two begin with the same three letters, so that a word half heard is not another one."""

_SALT = b"wardround eight words 1"
_COST, _BLOCK, _MEMORY = 1 << 15, 8, 1 << 26  # scrypt takes 128 * _COST * _BLOCK bytes, which is half of the limit


def eight_words(keys: Mapping[str, Any]) -> str:
    """The words of a set of public keys, with a space between them. keys: as canonical JSON holds them.

    Source
    ------
    RFC 7914, "The scrypt Password-Based Key Derivation Function": N = 2^15, r = 8, p = 1.
    """
    digest = hashlib.scrypt(canonical_json(keys), salt=_SALT, n=_COST, r=_BLOCK, p=1, maxmem=_MEMORY, dklen=COUNT)
    return " ".join(WORDS[byte] for byte in digest)


def same_words(first: str, second: str) -> bool:
    """Whether two persons' words are equal, however they are spaced and written."""
    return first.lower().split() == second.lower().split()
