"""The request handler for detectors in MLflow's scoring server.

It replaces `mlflow.pyfunc.scoring_server.invocations`, the function from a request's body to its
response, but only in the process of a scoring server. MLflow's handler has four defects:

- It casts scaled pixels, such as 0.5, to integers without a warning.
- Its error messages have several lines, repeat the data and may contain a traceback.
- It spends most of the time of a request in pandas.
- It has no limit on the size of a request.
"""

import logging
from collections.abc import Mapping
from contextvars import ContextVar
from http import HTTPStatus
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import orjson
from mlflow.pyfunc import scoring_server
from mlflow.pyfunc.scoring_server import InvocationsResponse
from starlette.requests import Request

from hourglass.core.errors import UserError
from hourglass.core.suggestions import quote
from hourglass.data.readers.image_files import ImageTooLargeError
from hourglass.serving.request_limits import RequestTooLargeError
from hourglass.serving.requests import UnsupportedMediaTypeError, parse_request

if TYPE_CHECKING:
    from hourglass.serving.pyfunc import DetectorModel

STATUSES = {
    UnsupportedMediaTypeError: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    RequestTooLargeError: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    ImageTooLargeError: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    UserError: HTTPStatus.BAD_REQUEST,  # the last one, as it is the base of the others
}
MAP = "map"  # the parameter of a URL that asks for anomaly maps
MAP_VALUES = {"png": True, "true": True, "1": True, "false": False, "0": False}
NO_QUERY: Mapping[str, str] = MappingProxyType({})
# Parameters of the URL of a request; MLflow passes only its body to the handler.
QUERY: ContextVar[Mapping[str, str]] = ContextVar("QUERY", default=NO_QUERY)


def install(model: "DetectorModel") -> None:
    """Replace the request handler of this process by one that uses `model`.

    Also limit the bytes that the server keeps of a request; `respond` rejects a longer one.
    """

    def invocations(
        data: bytes, content_type: str | None, _model: Any, _input_schema: Any
    ) -> InvocationsResponse:
        return respond(model, data, content_type, QUERY.get())

    async def body(request: Any) -> bytes:
        QUERY.set(dict(request.query_params))
        content = bytearray()
        async for part in request.stream():
            content += part
            if len(content) > model.limits.bytes:
                break
        return bytes(content)

    scoring_server.invocations = invocations
    setattr(Request, "body", body)  # noqa: B010  (mypy forbids the assignment)


def respond(
    model: "DetectorModel",
    body: bytes,
    content_type: str | None,
    query: Mapping[str, str] = NO_QUERY,
) -> InvocationsResponse:
    """Return the predictions in MLflow's format, one record per row, or an error message."""
    try:
        media_type = _media_type(content_type or "")
        with_maps = _with_maps(query)
        request = parse_request(body, media_type, model.detector, model.limits)
        columns = model.columns(request.samples, with_maps or request.with_maps)
    except UserError as error:
        status = next(status for kind, status in STATUSES.items() if isinstance(error, kind))
        return _error(status, str(error))
    except Exception:  # MLflow would answer with plain text, and to StopIteration not at all
        logging.getLogger(__name__).exception("a request failed")
        return _error(
            HTTPStatus.INTERNAL_SERVER_ERROR,
            "the request failed because of a fault of the server; see its log.",
        )
    rows = zip(*(column.tolist() for column in columns.values()), strict=True)
    records = [dict(zip(columns, row, strict=True)) for row in rows]
    return _json(HTTPStatus.OK, {"predictions": records})


def _with_maps(query: Mapping[str, str]) -> bool:
    """Return whether the parameters of a URL ask for anomaly maps."""
    value = query.get(MAP, "false")
    if value not in MAP_VALUES:
        raise UserError(f"`{MAP}` in the URL is {quote(value)}; give png or omit it.")
    return MAP_VALUES[value]


def _error(status: HTTPStatus, message: str) -> InvocationsResponse:
    return _json(status, {"error_code": status.name, "message": message})


def _json(status: HTTPStatus, content: dict[str, Any]) -> InvocationsResponse:
    return InvocationsResponse(orjson.dumps(content).decode(), status.value, "application/json")


def _media_type(content_type: str) -> str:
    """Return the media type, without parameters.

    Raises UnsupportedMediaTypeError if the declared charset is not UTF-8.
    """
    media_type, *parameters = (part.strip().lower() for part in content_type.split(";"))
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name == "charset" and value.strip('"') != "utf-8":
            raise UnsupportedMediaTypeError(f"the request is in {value}; send it in UTF-8.")
    return media_type
