"""A simulation that tells on stdout what happens, to be killed at a chosen moment. Arguments: folder, algorithm, workers.

Not a test: tests/engines/test_kill.py runs it in a process of its own.
"""

import sys
from pathlib import Path

from wardround.roles.events import Event
from wardround.simulation.simulate import simulate


def tell(event: Event) -> None:
    print(event, flush=True)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))
    from tests.roles.tiny_federation import NAMES, records, study

    folder, algorithm, workers = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    begun = (folder / "plan.json").exists()
    simulate(
        study(algorithm, own=True),
        None if begun else {name: records(name) for name in NAMES},
        out=folder,
        resume=begun,
        workers=workers,
        register=False,
        listener=tell,
    )
