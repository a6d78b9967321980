"""A job's child process: ``python -m service.job JOB_ID --token N``.

Runs one search in its main thread (simanneal's constructor needs it) and writes progress and result under the fencing
token that it was given.  Everything else it needs is in the database and in the settings.
"""

from __future__ import annotations

import argparse
import faulthandler
import logging
import sys

from search.errors import LeaseLostError
from service.child_process import give_way, stop_with_parent
from service.queue import Claim
from service.settings import Settings

logger = logging.getLogger(__name__)

CRASHED, LEASE_LOST = 70, 75


def main() -> int:
    """Run one job; exit code 0 tells the supervisor that the job's fate is written."""
    parser = argparse.ArgumentParser(prog="python -m service.job", description=main.__doc__)
    parser.add_argument("job_id")
    parser.add_argument("--token", type=int, required=True)
    arguments = parser.parse_args()
    stop_with_parent()
    give_way()
    faulthandler.enable()
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    try:
        _attempt(Claim(arguments.job_id, arguments.token, {}))
    except LeaseLostError as error:
        logger.warning("stopping: %s", error)
        return LEASE_LOST
    except Exception:  # the one place that turns a crash into a death, which the supervisor counts
        logger.exception("the search crashed")
        return CRASHED
    return 0


def _attempt(claim: Claim) -> None:
    # Imported late: torch takes seconds, and the parent is watched from the first moment.
    from service.attempt import attempt_job  # noqa: PLC0415
    from service.database import connect  # noqa: PLC0415

    settings = Settings()
    attempt_job(connect(settings.sqlalchemy_url), claim, settings)


if __name__ == "__main__":
    sys.exit(main())
