"""What an answer to a hostile input must be, and what is wrong with one that is not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.hostile.case import Case
from benchmarks.hostile.sending import BROKEN_OFF, FAILED_SEARCH, Answer

# Of a request that is refused as a whole, no field can be named.
WHOLE_BODY = frozenset({"body_too_large", "malformed_body", "unsupported_media_type"})
REFUSED = frozenset({"400", "413", "415", "422", FAILED_SEARCH})
# What a search's own process may say when it ends; anything else is a crash.
SEARCH_CODES = frozenset({"invalid_input", "unsuitable_data"})


def complaints(case: Case, answer: Answer) -> list[str]:
    """What is wrong with a refusal, or that there is none."""
    document, said = answer.document, message_of(answer.document)
    if answer.how == BROKEN_OFF:
        return []
    if answer.how not in REFUSED:
        return [f"not refused but {answer.how}: {said}"]
    found = []
    if answer.how == FAILED_SEARCH and document.get("code") not in SEARCH_CODES:
        found.append(f"the search ended with code {document.get('code')}: {said}")
    errors = document.get("errors", ())
    if not errors and document.get("code") not in WHOLE_BODY:
        found.append(f"no field is named: {said}")
    for error in errors:
        if not error["field"] or not error["expected"]:
            found.append(f"an error without field or expectation: {error}")
    if case.field and not any(error["field"].startswith(case.field) for error in errors):
        found.append(f"field {case.field} is not named: {said}")
    if case.says not in said:
        found.append(f"{case.says!r} is not said: {said}")
    return found


def message_of(document: Mapping[str, Any]) -> str:
    """Detail of a problem document and what it says of its first fields."""
    errors = document.get("errors", ())[:3]
    said = [f"{error['given']} given, expected {error['expected']}" for error in errors]
    return "; ".join(said) or str(document.get("detail", ""))
