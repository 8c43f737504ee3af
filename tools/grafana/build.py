"""Writes the dashboards that ``deploy/grafana`` holds.

python -m tools.grafana.build
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from tools.grafana.mesh import mesh
from tools.grafana.rollouts import rollouts

if TYPE_CHECKING:
    from collections.abc import Callable

    from grafana_foundation_sdk.builders.dashboard import Dashboard

__all__ = ["FOLDER", "files", "main"]

FOLDER: Final = Path(__file__).parents[2] / "deploy" / "grafana"
_BOARDS: Final[dict[str, Callable[[], Dashboard]]] = {"coalmine-rollouts": rollouts, "coalmine-mesh": mesh}


def files() -> dict[str, str]:
    """Return the dashboards as JSON by the file's name."""
    made = {f"{name}.json": board().build() for name, board in _BOARDS.items()}
    return {name: JSONEncoder(sort_keys=True, indent=2).encode(found) + "\n" for name, found in made.items()}


def main() -> None:
    """Write them."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in files().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
