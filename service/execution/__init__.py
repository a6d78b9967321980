"""Execution backends: where a job's child runs.  One file each; a new file is a new ``execution.kind``."""

from service.executor import EXECUTION

__all__ = ["EXECUTION"]
