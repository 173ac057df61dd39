"""What libraries would report is switched off by the import, without a word against what the user has chosen."""

import os
import subprocess
import sys

PRINTED = "import os; print(os.environ['ORT_DISABLE_TELEMETRY'], os.environ['FLWR_TELEMETRY_ENABLED'])"


def printed_by(program: str, **variables: str) -> str:
    untold = {name: value for name, value in os.environ.items() if "TELEMETRY" not in name}
    command = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(command, env=untold | variables, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def test_the_import_alone_switches_telemetry_off_also_for_children() -> None:
    """A notebook and a site's process begin in different ways; all of them import the package first."""
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {PRINTED!r}])"
    assert printed_by(f"import wardround; {child}") == "1 0\n"


def test_what_the_user_has_set_stays() -> None:
    """Somebody who works on onnxruntime itself may want its telemetry; it is not ours to forbid."""
    assert printed_by(f"import wardround; {PRINTED}", ORT_DISABLE_TELEMETRY="0", FLWR_TELEMETRY_ENABLED="1") == "0 1\n"


def test_a_library_that_was_imported_first_is_named_with_the_mend() -> None:
    """It read its variable before we could set it: silence would claim what is not true."""
    program = "import sys, types; sys.modules['onnxruntime'] = types.ModuleType('onnxruntime'); import wardround"
    assert "import wardround first, or set ORT_DISABLE_TELEMETRY=1" in printed_by(program)
    assert printed_by(program, ORT_DISABLE_TELEMETRY="1") == ""
