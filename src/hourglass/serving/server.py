"""What MLflow's scoring server answers where it serves a detector.

MLflow's own way from a request to an answer casts the fractions of scaled images to whole numbers
without a word, answers unusable input with several lines that repeat the data, for some with a
traceback, and takes most of a request's time in pandas. So in the process of a scoring server, and
nowhere else, the one function that stands between a request's body and its answer is replaced.
"""

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import orjson
from mlflow.pyfunc import scoring_server
from mlflow.pyfunc.scoring_server import InvocationsResponse

from hourglass.core.errors import UserError
from hourglass.serving import requests

if TYPE_CHECKING:
    from hourglass.serving.pyfunc import Served

STATUSES = {
    requests.Unsupported: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    requests.TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    UserError: HTTPStatus.BAD_REQUEST,
}


def install(served: "Served") -> None:
    """Have the scoring server of this process answer with a detector."""

    def invocations(
        data: bytes, content_type: str | None, model: Any, input_schema: Any
    ) -> InvocationsResponse:
        return answer(served, data, content_type)

    scoring_server.invocations = invocations


def answer(served: "Served", body: bytes, content_type: str | None) -> InvocationsResponse:
    """Return predictions as MLflow writes them, a record a row, or why there are none."""
    try:
        kind = _kind(content_type or "")
        found = served.answers(requests.samples(body, kind, served.detector))
    except UserError as refusal:
        status = STATUSES[type(refusal)]
        return _json(status, {"error_code": status.name, "message": str(refusal)})
    rows = zip(*(column.tolist() for column in found.values()), strict=True)
    records = [dict(zip(found, row, strict=True)) for row in rows]
    return _json(HTTPStatus.OK, {"predictions": records})


def _json(status: HTTPStatus, content: dict[str, Any]) -> InvocationsResponse:
    return InvocationsResponse(orjson.dumps(content).decode(), status.value, "application/json")


def _kind(content_type: str) -> str:
    """Return the media type; raises Unsupported for text that is not in UTF-8."""
    kind, *parameters = (part.strip().lower() for part in content_type.split(";"))
    for each in parameters:
        name, _, value = each.partition("=")
        if name == "charset" and value.strip('"') != "utf-8":
            raise requests.Unsupported(f"the request is in {value}; send it in UTF-8.")
    return kind
