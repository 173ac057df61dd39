"""The studies that the hub has offered to this hospital: kept as they came, and read strictly.

    Offer --taken--> studies/HASH/offer.json --OfferedStudy--> review, approval, work

An offer is unfit where its study is none that this release understands, where the keys of the hospitals do not fit each other, or
where this hospital's own are others.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from wardround.site.daemon.home import SiteHome
from wardround.study.declaration import Study
from wardround.study.reading import parse_study
from wardround.values.durable import write_atomic
from wardround.values.errors import DataError, StudyError, WardroundError
from wardround.values.private_files import read_private
from wardround.wire.offers import OFFER_LIMIT, Offer
from wardround.wire.sealed import KeyCard

FILE = "offer.json"
HASH_DIGITS = 64
MOST_STUDIES = 1000
"""Nobody looks at more; a hub that offers without end would fill the disk."""
MOST_BYTES = 1 << 28
"""Of all offers together."""


@dataclass(frozen=True)
class OfferedStudy:
    """A study that was offered, and the offer it came with."""

    study: Study
    offer: Offer

    @property
    def hash(self) -> str:
        return self.study.hash


def read_offer(content: bytes | bytearray, study_hash: str, own: KeyCard) -> OfferedStudy:
    """The study of an offer, where it is the one of that hash and fits this hospital. WardroundError says why it does not."""
    offer = Offer.from_bytes(content)
    study = parse_study(offer.study, "the offered study")
    if study.hash != study_hash:
        raise StudyError("The offered study is not the one of this hash", expected=study_hash[:12], found=study.hash[:12])
    if study.network is not None and study.network.private == "at_home":
        raise StudyError("The offered study is one hospital's own version of a study, which nobody may offer")
    cards = {card.name: card for card in offer.sites}
    if len(cards) != len(offer.sites) or tuple(sorted(cards)) != tuple(sorted(study.sites.names)):
        raise StudyError("The offer's list of hospitals is not that of its study")
    if study.sites.keys != {name: card.identity for name, card in cards.items()}:
        raise StudyError("The offer and its study list other keys of the hospitals")
    if own.name not in cards or cards[own.name].key_card != own:
        raise StudyError("The offer lists other keys for this hospital than its own", hint="tell the hub to look at its roster")
    return OfferedStudy(study, offer)


@dataclass(frozen=True)
class Offers:
    """The offers in a hospital's folder."""

    home: SiteHome
    own: KeyCard

    def take(self, content: bytes | bytearray, study_hash: str) -> tuple[OfferedStudy, bool]:
        """Keeps an offer that fits, and says whether it was new. The first one of a study stays: what a person has looked at may
        not change under her; only who is reached how, and where logs stand, may."""
        offered = read_offer(content, study_hash, self.own)
        path = self.home.study(study_hash) / FILE
        if path.exists():
            return offered, False
        sizes = [offer.stat().st_size for offer in self.home.studies.glob(f"*/{FILE}")]
        if len(sizes) >= MOST_STUDIES or sum(sizes) + len(content) > MOST_BYTES:
            raise DataError(
                f"There are {len(sizes)} studies already, of {sum(sizes):,} bytes, and no more are taken",
                expected=f"fewer than {MOST_STUDIES}, of at most {MOST_BYTES:,} bytes",
                hint=f"move folders of studies that are over out of {self.home.studies}",
            )
        write_atomic(path, bytes(content), private=True)
        return offered, True

    def get(self, study_hash: str) -> OfferedStudy:
        """The study of that hash. DataError where the hub has offered none such."""
        content = read_private(self.home.study(study_hash) / FILE, OFFER_LIMIT)
        if content is None:
            raise DataError("No study of this hash was offered", found=study_hash[:12], hint="wardround site studies")
        return read_offer(content, study_hash, self.own)

    def hashes(self) -> tuple[str, ...]:
        """The studies that were offered, oldest first."""
        folders = [path for path in self.home.studies.glob("*") if (path / FILE).is_file() and len(path.name) == HASH_DIGITS]
        return tuple(path.name for path in sorted(folders, key=lambda path: ((path / FILE).stat().st_mtime_ns, path.name)))

    def readable(self) -> Iterator[tuple[str, OfferedStudy | str]]:
        """Each study, or why it cannot be read any more."""
        for study_hash in self.hashes():
            try:
                yield study_hash, self.get(study_hash)
            except WardroundError as error:
                yield study_hash, str(error)

    def find(self, start: str) -> str:
        """The hash of the only study that begins so, or whose title is this. DataError where there is none, or several."""
        matching = [one for one in self.hashes() if one.startswith(start.lower())] if start else []
        if not matching:
            offered = [(key, one) for key, one in self.readable() if isinstance(one, OfferedStudy)]
            matching = [key for key, one in offered if one.study.question.title.casefold() == start.casefold()]
        if len(matching) != 1:
            raise DataError(
                f"{'No study' if not matching else 'More than one study'} begins with {start!r}",
                hint="name one by the first letters of its hash: wardround site studies",
            )
        return matching[0]
