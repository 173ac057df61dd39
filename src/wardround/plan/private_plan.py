"""What a study's privacy section means for both ends: grid, weights, and the charge of every release. Derived, never sent."""

import math
from dataclasses import dataclass

from wardround.algorithms import statement_of
from wardround.analysis.carrying import exchange_of
from wardround.analysis.protocol import Analysis, Exchange
from wardround.privacy.events import Event, Slack
from wardround.privacy.gaussian_mechanism import NoisedFrame
from wardround.privacy.noise_grid import NoiseGrid, narrowest
from wardround.privacy.noised_arrays import NoisedArrayWords
from wardround.study.declaration import Study
from wardround.values.errors import StudyError
from wardround.values.ids import SiteId
from wardround.values.tree import Shapes, size_of


def charged_step(study: Study) -> str:
    """The step of a private study whose orders are charged on the ledger of a site's patients."""
    return "train" if study.analysis is None else "evaluate"


@dataclass(frozen=True)
class PrivatePlan:
    """study: a private one, its noise multiplier worked out (`wardround study privacy`, or a simulation, does); StudyError where
    it is not. size: the numbers that training changes; of an analysis those of its largest sum. analysis: where the study asks
    for one, of whose sums each is charged as `Noised.events` says."""

    study: Study
    size: int
    analysis: Analysis | None = None

    def __post_init__(self) -> None:
        if self.study.privacy.noise_multiplier is None:
            raise StudyError(
                "The study says what it may cost, and not yet how much noise that takes",
                expected="privacy.noise_multiplier, the same for everybody",
                hint="run `wardround study privacy STUDY` and put the line it prints into the file",
            )

    @property
    def distributed(self) -> bool:
        """Whether the sites share the making of the noise."""
        return self.study.privacy.mode != "patient-local"

    @property
    def event(self) -> Event:
        """One charge: what one private step shows of one patient (or one site)."""
        privacy = self.study.privacy
        slack = Slack(*self.noise_grid(self.size).slack(1))
        return Event(privacy.noise_multiplier or 0.0, privacy.sampling_rate, privacy.unit, slack)

    @property
    def events_a_round(self) -> int:
        return self.study.privacy.steps or 1

    @property
    def events(self) -> int:
        """Of the whole study."""
        if self.analysis is not None:
            return sum(exchange.times * self.events_of(exchange.label) for exchange in self.analysis.exchanges)
        return self.study.algorithm.rounds * self.events_a_round

    def events_of(self, label: str) -> int:
        """Of one order: of a round, or of the analysis's sum of that label."""
        if self.analysis is None:
            return self.events_a_round
        noised = exchange_of(self.analysis, label).noised
        assert noised is not None  # every sum of a private analysis has noise
        return noised.events

    def words_of(self, exchange: Exchange) -> NoisedArrayWords:
        """How the arrays of a sum of the analysis become words. Its noise is the study's over the root of its events: as much as
        so many releases of one event show together."""
        assert exchange.noised is not None
        size = sum(quantity.size for quantity in exchange.quantities.values())
        multiplier = (self.study.privacy.noise_multiplier or 0.0) / math.sqrt(exchange.noised.events)
        return NoisedArrayWords(exchange.quantities, exchange.noised.weights, self._grid(size, 1.0, multiplier))

    def patients(self, site: str) -> int:
        """The public number of this site's training patients; 1 where the unit is the site."""
        stated = self.study.privacy.public_patients
        if isinstance(stated, dict):
            if site not in stated:
                raise StudyError(
                    f"privacy.public_patients has no number for {site}",
                    expected="a public, rounded number of training patients for every hospital",
                    found=", ".join(sorted(stated)),
                    hint=f"add {site}, or give one number for all",
                )
            return stated[site]
        return stated or 1

    def weight(self, sites: tuple[SiteId, ...]) -> int:
        """The public number that the sum of these sites stands for."""
        everyone = sum(self.patients(site) for site in sites)
        if statement_of(self.study.algorithm.name).local_steps:
            return everyone
        return self.study.privacy.step_weight(everyone)

    def noise_grid(self, size: int) -> NoiseGrid:
        """The grid of one release of `size` values."""
        return self._grid(size, self.study.privacy.clip_norm, self.study.privacy.noise_multiplier or 0.0)

    def _grid(self, size: int, clip_norm: float, multiplier: float) -> NoiseGrid:
        sites, honest, most = self._shared() if self.distributed else (1, 1, self._most_alone())
        # The factor leaves room for public numbers that are too low: more would wrap, which costs accuracy and no privacy.
        return narrowest(
            clip_norm=clip_norm,
            multiplier=multiplier,
            size=size,
            capacity=4.0 * most,
            sites=sites,
            honest=honest,
        )

    def noise_of_mean(self, multiplier: float, sampling_rate: float) -> float:
        """Deviation of the noise in one step's mean over the patients drawn (or over the sites), in clip norms.

        multiplier, sampling_rate: in place of the study's. Made together by all m hospitals: each share has the variance
        multiplier² / (t - c), and all m of them are in the total. Made alone: in a hospital of mean size.
        """
        if self.distributed:
            sites, honest, everyone = self._shared()
            return multiplier * math.sqrt(sites / honest) / (sampling_rate * everyone)
        stated = self.study.privacy.public_patients
        patients = sum(stated.values()) / len(stated) if isinstance(stated, dict) else stated or 1
        return multiplier / (sampling_rate * patients)

    def _shared(self) -> tuple[int, int, int]:
        """Sites; t - c, the shares of noise that are surely there and unknown to the coordinator and c others; and the public
        number of units at all."""
        quorum = self.study.quorum
        everyone = sum(self.patients(site) for site in quorum.sites)
        return len(quorum.sites), quorum.threshold - quorum.collusion, everyone

    def _most_alone(self) -> int:
        stated = self.study.privacy.public_patients
        return max(stated.values()) if isinstance(stated, dict) else stated or 1

    def frame(self, parts: dict[str, Shapes], weight: int) -> NoisedFrame:
        """Of one distributed release. parts: the algorithm's only kind of values."""
        ((part, shapes),) = parts.items()
        return NoisedFrame(part, shapes, self.noise_grid(size_of(shapes)), weight, shortens=self.study.privacy.unit == "site")
