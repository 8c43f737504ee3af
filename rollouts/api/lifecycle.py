"""What else people say about releases than their steps and their judge."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from crds.base import Duration, Resource

__all__ = ["RollbackWindow"]


class RollbackWindow(Resource):
    """Which revisions are known to be good, so that going back to one of them needs no steps."""

    revisions: Annotated[
        int,
        Field(ge=1, le=9, description="How many of the revisions that were stable before the present one count."),
    ] = 1
    duration: Annotated[
        Duration | None, Field(description="How long ago it may have been replaced (24h); any time without it.")
    ] = None
