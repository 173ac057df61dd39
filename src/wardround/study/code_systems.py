"""Systems of medical codes: one name in a study, the names that OMOP and FHIR have for it.

"SNOMED|59621000"  --> OMOP: vocabulary_id SNOMED, concept_code 59621000
                   `-> FHIR: system http://snomed.info/sct, code 59621000
"""

from dataclasses import dataclass

OMOP = "OMOP"
"""The system of OMOP's own concept numbers, as in "OMOP|9201"."""

FHIR_SYSTEMS: dict[str, tuple[str, ...]] = {
    "SNOMED": ("http://snomed.info/sct",),
    "LOINC": ("http://loinc.org",),
    "RxNorm": ("http://www.nlm.nih.gov/research/umls/rxnorm",),
    "ICD10": ("http://hl7.org/fhir/sid/icd-10",),
    "ICD10CM": ("http://hl7.org/fhir/sid/icd-10-cm",),
    "ICD10PCS": ("http://www.cms.gov/Medicare/Coding/ICD10", "http://hl7.org/fhir/sid/icd-10-pcs"),
    "ICD10GM": ("http://fhir.de/CodeSystem/bfarm/icd-10-gm", "http://fhir.de/CodeSystem/dimdi/icd-10-gm"),
    "ICD9CM": ("http://hl7.org/fhir/sid/icd-9-cm",),
    "OPS": ("http://fhir.de/CodeSystem/bfarm/ops", "http://fhir.de/CodeSystem/dimdi/ops"),
    "CPT4": ("http://www.ama-assn.org/go/cpt",),
    "ATC": ("http://www.whocc.no/atc", "http://fhir.de/CodeSystem/bfarm/atc", "http://fhir.de/CodeSystem/dimdi/atc"),
    "CVX": ("http://hl7.org/fhir/sid/cvx",),
    "NDC": ("http://hl7.org/fhir/sid/ndc",),
    "ActCode": ("http://terminology.hl7.org/CodeSystem/v3-ActCode", "http://hl7.org/fhir/v3/ActCode"),
    "Discharge": ("http://terminology.hl7.org/CodeSystem/discharge-disposition", "http://hl7.org/fhir/discharge-disposition"),
}
"""By OMOP's vocabulary_id, the addresses that FHIR knows a system by. ActCode, the classes of encounters, and Discharge, how they
ended, are FHIR's alone."""

LONGEST_NUMBER = 18
"""Digits of a concept's number: what 64 bits hold."""

OMOP_ONLY = ("Visit", OMOP)
"""Systems without a counterpart in FHIR."""


@dataclass(frozen=True)
class Code:
    """system: a name of FHIR_SYSTEMS or OMOP_ONLY, or an address. code: as the system writes it; "I63.*" is all that begin so."""

    system: str
    code: str

    @property
    def prefix(self) -> str | None:
        """What codes begin with, where the code ends with a star."""
        return self.code.removesuffix("*") if self.code.endswith("*") else None

    @property
    def fhir_systems(self) -> tuple[str, ...]:
        """The addresses under which FHIR holds the code; none where it cannot."""
        return (self.system,) if ":" in self.system else FHIR_SYSTEMS.get(self.system, ())

    @property
    def vocabulary(self) -> str | None:
        """OMOP's vocabulary_id; None for an address that no name of ours stands for."""
        if ":" not in self.system:
            return self.system
        return next((name for name, addresses in FHIR_SYSTEMS.items() if self.system in addresses), None)


def code_of(text: str) -> Code:
    """A code as a study writes it, SYSTEM|CODE. ValueError where it is none.

    >>> code_of("SNOMED|59621000").fhir_systems
    ('http://snomed.info/sct',)
    """
    system, bar, code = (part.strip() for part in text.partition("|"))
    if not (system and bar and code):
        raise ValueError(f'a code is SYSTEM|CODE, for example "SNOMED|59621000"; found {text[:80]!r}')
    if ":" not in system and system not in FHIR_SYSTEMS and system not in OMOP_ONLY:
        names = ", ".join([*FHIR_SYSTEMS, *OMOP_ONLY])
        raise ValueError(
            f"the code system {system[:40]!r} is not known: write one of {names}, or the address that FHIR has for it"
        )
    if "*" in code[:-1] or code == "*":
        raise ValueError(f"a star stands for the end of a code, after its beginning; found {text[:80]!r}")
    if system == OMOP and not (code.isascii() and code.isdigit() and len(code) <= LONGEST_NUMBER):
        raise ValueError(f"a concept of OMOP is a whole number, as in OMOP|9201; found {text[:80]!r}")
    return Code(system, code)
