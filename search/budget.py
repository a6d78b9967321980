"""What a search may spend."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Budget(BaseModel):
    """Limits of one search.

    ``evaluations`` counts the search phase, in units of the search fidelity; the race and the final come on top.
    ``seconds`` covers everything: the search phase ends while there is time left for race and final.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    evaluations: int = Field(200, ge=1, le=1_000_000, description="evaluations of the search phase")
    seconds: float | None = Field(
        None, gt=0, description="time for the whole search; no limit if null"
    )
