"""A systemd unit for a service of ours, as text: paths are written as systemd reads them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.request import getproxies_environment


@dataclass(frozen=True)
class Unit:
    """A service that restarts whatever ends, and may write to its own folders alone.

    command: the program's path and its words. variable: of the environment, and its value. folders: that it writes to.
    limits: lines of the section [Service]. user: for a unit of the whole system; empty for one of this user.
    """

    description: str
    command: tuple[str, ...]
    variable: tuple[str, str]
    folders: tuple[Path, ...]
    limits: Sequence[str] = ()
    user: str = ""

    @property
    def text(self) -> str:
        program, *words = self.command
        name, value = self.variable
        lines = [
            "[Unit]",
            f"Description={self.description}",
            "Wants=network-online.target",
            "After=network-online.target",
            "",
            "[Service]",
            *([f"User={self.user}"] if self.user else []),
            f"Environment={_quoted(f'{name}={value}')}",
            f"ExecStart={' '.join([_quoted(program), *words])}",
            "Restart=always",
            "RestartSec=10",
            "NoNewPrivileges=yes",
            "PrivateTmp=yes",
            "ProtectSystem=strict",
            f"ReadWritePaths={' '.join(_quoted(str(folder)) for folder in self.folders)}",
            *self.limits,
            "",
            "[Install]",
            f"WantedBy={'multi-user.target' if self.user else 'default.target'}",
        ]
        return "\n".join(lines) + "\n"


def proxy_lines() -> list[str]:
    """What a service needs to go through the proxy that this environment names: a unit does not inherit it. One with a password
    is not written down, since others may read a unit."""
    lines = []
    for name, value in getproxies_environment().items():
        variable = "NO_PROXY" if name == "no" else f"{name.upper()}_PROXY"
        if variable in ("HTTPS_PROXY", "ALL_PROXY", "NO_PROXY") and value.isprintable():
            secret = "@" in value
            lines.append(
                f"# {variable} holds a login: write it into a file of this user alone, and name it: EnvironmentFile=FILE"
                if secret
                else f"Environment={_quoted(f'{variable}={value}')}"
            )
    return lines


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'
