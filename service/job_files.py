"""Names of the files that a finished search leaves in its folder."""

from __future__ import annotations

WEIGHTS = "weights.safetensors"
GRAFTED = "grafted.safetensors"
REPORT = "report.html"
RESULT = "result.json"
# A folder that the architecture's own library loads.
MODEL = "model"
