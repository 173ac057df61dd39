"""Seeds from shares, and who lied: the last step of a masked sum (spec, 7.5 and 10)."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain

import numpy as np

from wardround.summation.masked.attempt import OTHER_SEED, Failed, Opened, Opening
from wardround.summation.masked.keys import own_commitment, pair_commitment, share_commitments
from wardround.summation.masked.layout import HASH, SHARE, place_among_others, places, slice_of
from wardround.summation.masked.masks import Seeds, inverse, mask, pair_sign
from wardround.summation.masked.shamir import ImpossibleSecretsError, recover
from wardround.values.ids import SiteId


class Recovery:
    """Seeds from shares. A share that its owner did not commit to is not used. Its sender lies, or the owner sealed another share
    than it committed to: whoever is in most of such pairs is named."""

    def __init__(
        self,
        state: Opening,
        opened_shares: Mapping[SiteId, bytes],
        unreadable: Mapping[SiteId, tuple[str, ...]],
        missing: Mapping[SiteId, str],
    ) -> None:
        self.state, self.opened_shares, self.unreadable = state, opened_shares, unreadable
        self.unusable = dict(unreadable)
        self.attempt = state.attempt
        self.h = bytes.fromhex(state.attempt.order)
        self.lost = sorted(state.lost)
        self.each = 1 + len(self.lost)  # secrets of one owner that are opened
        self.places = places(state.attempt.cohort)
        self.missing = missing
        self.at_odds: list[tuple[SiteId, SiteId]] = []
        self.wrong_owner: dict[SiteId, str] = {}

    def run(self) -> Opened | Failed:
        opened = self._all_together()
        if opened is None:
            opened = self._one_by_one()
        if opened is None:
            return Failed(self.attempt, "Opening", {**self.state.lost, **self.missing, **self.blamed}, len(self.opened_shares))
        # `recover` gave what each site laid on; the opposite sign takes it off.
        total = mask({name: array.copy() for name, array in self.state.total.items()}, inverse(opened))
        blamed = {**dict.fromkeys(self.state.at_odds, OTHER_SEED), **self.blamed}
        return Opened(self.attempt, total, self.state.counted, self.state.lost, blamed, tuple(self.missing))

    def _all_together(self) -> Seeds | None:
        """Every owner's seeds at once, from the same answers. None where sealed shares did not open, or somebody lied."""
        chosen = [site for site in self.state.counted if site in self.opened_shares][: self.attempt.quorum.threshold]
        if len(chosen) < self.attempt.quorum.threshold or any(self.unreadable[site] for site in chosen):
            return None
        seeds = self._recovered(slice(0, len(self.state.counted) * self.each), chosen)
        opened: Seeds = []
        for number, owner in enumerate(self.state.counted):
            owner_seeds = self._as_committed(owner, seeds[number * self.each : (number + 1) * self.each] if seeds else None)
            if owner_seeds is None:
                return None
            opened += owner_seeds
        return opened

    def _one_by_one(self) -> Seeds | None:
        opened: Seeds = []
        for number, owner in enumerate(self.state.counted):
            seeds = self._seeds(number, owner)
            if seeds is None:
                return None
            opened += seeds
        return opened

    def _seeds(self, owner_number: int, owner: SiteId) -> Seeds | None:
        """The owner's own seed and those of its pairs with the lost, with the signs it used. None where they cannot be had."""
        while True:
            answered = [site for site in self.state.counted if site in self.opened_shares and owner not in self.unusable[site]]
            chosen = answered[: self.attempt.quorum.threshold]
            if len(chosen) < self.attempt.quorum.threshold:
                return None
            seeds = self._recovered(slice(owner_number * self.each, (owner_number + 1) * self.each), chosen)
            opened = self._as_committed(owner, seeds)
            if opened is not None:
                return opened
            if not self._leave_out_liars(owner_number, owner, chosen):
                self.wrong_owner[owner] = "wrong-shares"  # all shares are as it sealed them
                return None

    def _recovered(self, which: slice, chosen: Sequence[SiteId]) -> list[bytes] | None:
        """The secrets of these places in an answer; None where the shares give none."""
        rows = b"".join(self.opened_shares[site][SHARE * which.start : SHARE * which.stop] for site in chosen)
        table = np.frombuffer(rows, np.uint8).reshape(len(chosen), which.stop - which.start, SHARE)
        try:
            secrets = recover(table, [self.attempt.quorum.point(site) for site in chosen], self.attempt.quorum.threshold)
        except ImpossibleSecretsError:
            return None  # a lie like any other wrong share: who lied is looked for owner by owner
        return [row.tobytes() for row in secrets]

    def _as_committed(self, owner: SiteId, seeds: Sequence[bytes] | None) -> Seeds | None:
        """The owner's seeds with their signs, if each is what it committed to."""
        if seeds is None or not all(self._agrees(seed, owner, number) for number, seed in enumerate(seeds)):
            return None
        return [(seed, 1 if not number else pair_sign(owner, self.lost[number - 1])) for number, seed in enumerate(seeds)]

    def _secret_number(self, owner: SiteId, number: int) -> int:
        """Where the number-th opened secret stands among those the owner shared."""
        return 0 if number == 0 else 1 + place_among_others(self.places, owner, self.lost[number - 1])

    def _agrees(self, seed: bytes, owner: SiteId, number: int) -> bool:
        committed = slice_of(self.state.shares[owner].commitments, HASH, self._secret_number(owner, number))
        if number == 0:
            return own_commitment(self.h, owner, seed) == committed
        return pair_commitment(self.h, owner, SiteId(self.lost[number - 1]), seed) == committed

    def _leave_out_liars(self, owner_number: int, owner: SiteId, chosen: Sequence[SiteId]) -> bool:
        liars = []
        for site in chosen:
            shares = {
                self._secret_number(owner, number): slice_of(self.opened_shares[site], SHARE, self.each * owner_number + number)
                for number in range(self.each)
            }
            row = self.places[site] * len(self.places)
            committed = [slice_of(self.state.shares[owner].share_commitments, HASH, row + secret) for secret in shares]
            if share_commitments(self.h, owner, site, shares) != committed:
                liars.append(site)
        for site in liars:
            self.unusable[site] = (*self.unusable[site], owner)
            self.at_odds.append((site, owner))
        return bool(liars)

    @property
    def blamed(self) -> dict[SiteId, str]:
        """Of sealed shares that do not open both ends are named: their owner sealed rubbish, or the one who says so lies."""
        pairs = [(site, *map(SiteId, owners)) for site, owners in self.unreadable.items() if owners]
        blamed: dict[SiteId, str] = {}
        for site in chain.from_iterable(pairs):
            blamed[site] = "share-unreadable"
        for site in in_most(self.at_odds):
            blamed[site] = "wrong-share"
        return {**blamed, **self.wrong_owner}


def in_most(pairs: list[tuple[SiteId, SiteId]]) -> list[SiteId]:
    """Of pairs in which one lies, the site in most of them, in a tie all of those; then the same of the pairs that are left."""
    out: list[SiteId] = []
    while pairs:
        count = Counter(site for pair in pairs for site in pair)
        worst = [site for site, times in count.items() if times == max(count.values())]
        out += worst
        pairs = [pair for pair in pairs if not set(pair) & set(worst)]
    return out
