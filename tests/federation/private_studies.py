"""Tiny private studies: each mode and algorithm over the three hospitals of `tiny_federation`."""

from wardround.study.declaration import Study
from wardround.study.reading import parse_study

from .tiny_federation import LOCAL_STEPS, STUDY

OF_MODE = {
    "patient-distributed": "public_patients = { east = 20, north = 32, south = 24 }\n",
    "patient-local": "public_patients = { east = 20, north = 32, south = 24 }\nsteps = 3\n",
    "site": "",
}
PAIRS = [
    ("patient-distributed", "fedsgd"),
    *(("patient-local", algorithm) for algorithm in ("fedavg", "fedprox", "fedopt", "scaffold", "fedbn")),
    *(("site", algorithm) for algorithm in ("fedavg", "fedprox", "fedopt", "fedbn")),
]


def private_study(
    mode: str = "patient-distributed",
    algorithm: str = "fedsgd",
    *,
    rounds: int = 3,
    noise: float = 1.0,
    clip: float = 1.0,
    rate: float = 1.0,
    epsilon: float | None = None,
    collusion: int = 1,
    minimum: int = 2,
    summation: str = "masked",
) -> Study:
    """noise: the multiplier; 0 for none."""
    text = STUDY.replace("ALGORITHM", algorithm).replace("ROUNDS", str(rounds)).replace("MINIMUM", str(minimum))
    text = text.replace("MODE", summation).replace("collusion = 1", f"collusion = {collusion}").replace("OWN", "false")
    text = text.replace("[evaluation]", '[evaluation]\nthreshold = "half"')
    if algorithm == "fedsgd":
        text = text.replace(LOCAL_STEPS, "batch_size = 16\nlocal_epochs = 2\n")
    if mode != "site":
        text = text.replace("batch_size = 16\nlocal_epochs = 2\n", "class_balance = false\n")
        rated = f"sampling_rate = {rate}\n"
    else:
        rated = ""
    stated = "" if epsilon is None else f"epsilon = {epsilon}\n"
    return parse_study(
        f'{text}[privacy]\nmode = "{mode}"\ndelta = 1e-3\nnoise_multiplier = {noise}\nclip_norm = {clip}\n{stated}{rated}'
        f"{OF_MODE[mode]}"
    )
