"""Genes: what a spec would decide about, nothing run."""

from __future__ import annotations

from fastapi import APIRouter

from service.composition import GeneTable, describe_spec
from service.context import Context
from service.error_handlers import problem_responses
from service.routes.spec_body import SpecBody

router = APIRouter(prefix="/v1/genes", tags=["genes"])


@router.post("", response_model=GeneTable, responses=problem_responses(400, 413, 415, 422))
def list_genes(spec: SpecBody, context: Context) -> GeneTable:
    """Check a spec and list its genes."""
    return describe_spec(spec, context.surroundings)
