"""A simulation that tells on stdout what happens, to be killed at a chosen moment. Arguments: folder, algorithm, workers, and a
privacy mode for a private study.

Not a test: tests/engines/test_kill.py and test_private_kill.py run it in a process of its own.
"""

import sys
from pathlib import Path

from wardround.hub.notices import Notice
from wardround.simulation.simulate import simulate


def tell(event: Notice) -> None:
    print(event, flush=True)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))
    from tests.federation.private_studies import private_study
    from tests.federation.tiny_federation import NAMES, records, study

    folder, algorithm, workers = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    mode = sys.argv[4] if len(sys.argv) > 4 else ""
    begun = (folder / "plan.json").exists()
    simulate(
        private_study(mode, algorithm) if mode else study(algorithm, own=True),
        None if begun else {name: records(name) for name in NAMES},
        out=folder,
        resume=begun,
        workers=workers,
        register=False,
        listener=tell,
    )
