"""Request handling of MLflow's scoring server for detectors.

MLflow's own handler casts the fractions of scaled images to integers without a warning, answers
unusable input with several lines that repeat the data, sometimes with a traceback, and spends most
of a request's time in pandas. In the process of a scoring server, and nowhere else, this module
replaces the one function between a request's body and its response.
"""

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import orjson
from mlflow.pyfunc import scoring_server
from mlflow.pyfunc.scoring_server import InvocationsResponse

from hourglass.core.errors import UserError
from hourglass.serving import requests

if TYPE_CHECKING:
    from hourglass.serving.pyfunc import DetectorModel

STATUSES = {
    requests.UnsupportedMediaTypeError: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    requests.RequestTooLargeError: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    UserError: HTTPStatus.BAD_REQUEST,
}


def install(model: "DetectorModel") -> None:
    """Make the scoring server of this process answer with a detector."""

    def invocations(
        data: bytes, content_type: str | None, _model: Any, _input_schema: Any
    ) -> InvocationsResponse:
        return respond(model, data, content_type)

    scoring_server.invocations = invocations


def respond(model: "DetectorModel", body: bytes, content_type: str | None) -> InvocationsResponse:
    """Return predictions in MLflow's format, one record per row, or the error."""
    try:
        media_type = _media_type(content_type or "")
        columns = model.columns(requests.parse_request(body, media_type, model.detector))
    except UserError as error:
        status = STATUSES[type(error)]
        return _json(status, {"error_code": status.name, "message": str(error)})
    rows = zip(*(column.tolist() for column in columns.values()), strict=True)
    records = [dict(zip(columns, row, strict=True)) for row in rows]
    return _json(HTTPStatus.OK, {"predictions": records})


def _json(status: HTTPStatus, content: dict[str, Any]) -> InvocationsResponse:
    return InvocationsResponse(orjson.dumps(content).decode(), status.value, "application/json")


def _media_type(content_type: str) -> str:
    """Return the media type; raise UnsupportedMediaTypeError for text that is not in UTF-8."""
    media_type, *parameters = (part.strip().lower() for part in content_type.split(";"))
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name == "charset" and value.strip('"') != "utf-8":
            raise requests.UnsupportedMediaTypeError(
                f"the request is in {value}; send it in UTF-8."
            )
    return media_type
