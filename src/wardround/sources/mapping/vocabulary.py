"""Words of hospitals in several languages, for proposals alone: what they propose is written into a file that a person reads."""

import re

from wardround.sources.readiness.units import CONFUSIONS
from wardround.sources.tables.column_names import clean_name

COLUMN_WORDS: tuple[frozenset[str], ...] = (
    frozenset({"age", "alter", "ageyears", "alterinjahren", "edad", "eta", "leeftijd"}),
    frozenset({"sex", "gender", "geschlecht", "sexe", "genre", "sexo", "sesso", "geslacht"}),
    frozenset({"male", "mannlich"}),
    frozenset({"patient", "patientid", "patid", "pid", "patientennummer", "patientenid", "patnr", "patientnr", "subject",
               "subjectid", "mrn", "pseudonym", "identifiant", "paciente", "paziente", "patientnumber", "person", "personid"}),
    frozenset({"chol", "cholesterol", "cholesterin", "cholesterine", "colesterol", "totalcholesterol", "gesamtcholesterin"}),
    frozenset({"ldl", "ldlcholesterin", "ldlcholesterol"}),
    frozenset({"hdl", "hdlcholesterin", "hdlcholesterol"}),
    frozenset({"trig", "triglycerides", "triglyceride", "triglyzeride"}),
    frozenset({"crea", "creatinine", "kreatinin", "creatinin", "krea"}),
    frozenset({"glucose", "glukose", "blutzucker", "gluc", "sugar", "bz", "glycemie"}),
    frozenset({"bp", "trestbps", "sbp", "systolic", "systolisch", "rr", "rrsys", "blutdruck", "bloodpressure", "systolicbp"}),
    frozenset({"dbp", "diastolic", "diastolisch", "rrdia"}),
    frozenset({"pulse", "heartrate", "hr", "puls", "herzfrequenz", "hf", "thalach", "maxpuls"}),
    frozenset({"weight", "gewicht", "poids", "peso", "kg"}),
    frozenset({"height", "grosse", "groesse", "korpergrosse", "taille", "talla"}),
    frozenset({"temp", "temperature", "temperatur", "korpertemperatur"}),
    frozenset({"lac", "lactate", "laktat"}),
    frozenset({"crp", "creactiveprotein", "creaktivesprotein"}),
    frozenset({"label", "outcome", "ergebnis", "diagnose", "diagnosis", "befund", "zielvariable", "target", "klasse"}),
    frozenset({"died", "death", "mortality", "verstorben", "tod", "deceased", "exitus", "dead"}),
    frozenset({"disease", "krankheit", "erkrankung", "erkrankt", "maladie"}),
    frozenset({"smoker", "smoking", "raucher", "rauchen", "fumeur"}),
    frozenset({"site", "hospital", "klinik", "haus", "standort", "zentrum", "center", "centre"}),
    frozenset({"split", "set", "fold"}),
    frozenset({"stay", "los", "lengthofstay", "verweildauer", "liegedauer", "days"}),
)  # fmt: skip

FEMALE = frozenset({"f", "w", "female", "weiblich", "frau", "femme", "femenino", "mujer", "vrouw", "femmina", "fem"})
MALE = frozenset({"m", "male", "mannlich", "männlich", "mann", "homme", "masculino", "hombre", "man", "maschio", "masc"})
YES = frozenset({"1", "yes", "y", "ja", "j", "oui", "si", "sí", "true", "t", "wahr", "positiv", "positive", "pos", "+"})
YEARS = frozenset({"years", "year", "jahre", "jahren", "ans", "anos", "anni", "jaar"})
PERCENT_UNITS = frozenset({"%", "percent", "per cent", "prozent", "pct"})
DURATION_UNITS = {
    "days": frozenset({"d", "day", "days", "tage"}),
    "hours": frozenset({"h", "hr", "hrs", "hour", "hours", "std", "stunden"}),
    "minutes": frozenset({"min", "mins", "minute", "minutes", "minuten"}),
    "seconds": frozenset({"s", "sec", "second", "seconds", "sekunden"}),
}
NO = frozenset({"0", "no", "n", "nein", "non", "false", "f", "falsch", "negativ", "negative", "neg", "-"})

_UNIT = re.compile(r"\s*[\[(]([^\])]+)[\])]\s*$")
_SAME_UNITS = (
    frozenset({"mmol/l", "mmol/liter"}), frozenset({"mg/dl"}), frozenset({"umol/l", "µmol/l", "μmol/l", "mcmol/l"}),
    frozenset({"years", "year", "jahre", "j", "ans", "y"}), frozenset({"kg"}), frozenset({"lb", "lbs", "pounds", "pfund"}),
    frozenset({"cm"}), frozenset({"in", "inch", "inches", "zoll"}), frozenset({"kpa"}), frozenset({"mmhg"}),
    frozenset({"days", "day", "tage", "d"}),
)  # fmt: skip
_CONFUSED = {"inches": "in", "centimetres": "cm", "pounds": "lb", "kilograms": "kg", "kPa": "kpa", "mmHg": "mmhg"}


def key(name: str) -> str:
    """A column's name without its unit, case, accents and signs.

    >>> key("Größe [cm]"), key("Patienten-ID")
    ('grosse', 'patientenid')
    """
    bare = _UNIT.sub("", clean_name(name)).casefold()
    return re.sub(r"[^a-z0-9]", "", bare.translate(str.maketrans("äöüéèêáàíóñç", "aoueeeaaionc")))


def words_for(name: str) -> frozenset[str]:
    """What a hospital may call the contract's column."""
    return frozenset({key(name)}).union(*(words for words in COLUMN_WORDS if key(name) in words))


def unit_in(name: str) -> str:
    """The unit that a column's name carries in brackets.

    >>> unit_in("Chol (mmol/l)"), unit_in("Age")
    ('mmol/l', '')
    """
    match = _UNIT.search(clean_name(name))
    return match[1].strip() if match else ""


def same_unit(first: str, second: str) -> bool:
    return _unit_key(first) == _unit_key(second)


def _unit_key(unit: str) -> str:
    plain = unit.strip().casefold().replace(" ", "")
    return next((min(units) for units in _SAME_UNITS if plain in units), plain)


def factor_between(here: str, unit: str, column: str) -> float | None:
    """What a value in the unit `here` is multiplied by to be in `unit`, for a column of this name; None where it is not known.

    >>> factor_between("mmol/l", "mg/dl", "chol"), factor_between("mmol/l", "mmol/L", "k"), factor_between("mol", "g", "x")
    (38.67, 1.0, None)
    """
    if same_unit(here, unit):
        return 1.0
    words = words_for(column)
    for confusion in CONFUSIONS:
        start, _, rest = confusion.words.partition(" in place of ")
        if not (rest and confusion.names and any(re.search(confusion.names, word) for word in words)):
            continue
        if (_confused_unit(start), _confused_unit(rest)) == (_unit_key(here), _unit_key(unit)):
            return confusion.factor
    return None


def _confused_unit(words: str) -> str:
    """The unit in the words of a confusion: "mg/dl of cholesterol", "centimetres"."""
    unit = words.partition(" of ")[0]
    return _unit_key(_CONFUSED.get(unit, unit))
