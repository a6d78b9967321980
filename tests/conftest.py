"""Set up before any test module is imported."""

from __future__ import annotations

import os

import pytest

from service.settings import make_threads_patient

# Before torch and BLAS are loaded, here and in the processes that tests start: for networks of a few neurons several
# threads only wait for each other, all the more beside another test's.  What a plan says about threads goes before it.
for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = "1"
make_threads_patient()


@pytest.fixture
def blank_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw no figures where nobody looks at them: they take longer than a small search."""
    monkeypatch.setattr("service.report.render_report", lambda *_: "<html></html>")
