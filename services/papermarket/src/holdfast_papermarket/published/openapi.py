"""papermarket's OpenAPI description: Alpaca's endpoints as published, and its own as FastAPI knows them."""

import re
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import TypeAdapter
from pydantic.json_schema import JsonSchemaMode

from holdfast_papermarket.published.endpoints import ENDPOINTS, Endpoint, Parameter
from holdfast_papermarket.published.outside_endpoints import OUTSIDE

Json = dict[str, Any]
REFERENCE = "#/components/schemas/{model}"
ANSWERS = {
    200: "The answer",
    204: "Done; no body",
    207: "Each item with a status of its own",
    400: "A query value or the body cannot be read",
    401: "The keys are missing or wrong",
    403: "Refused: buying power, shares held by other orders, an opposite order of one's own",
    404: "There is no such thing",
    422: "Understood, but not acceptable",
    429: "Too many requests; see X-RateLimit-Reset",
}
SECRETS: Json = {
    "key": {"type": "apiKey", "in": "header", "name": "APCA-API-KEY-ID"},
    "secret": {"type": "apiKey", "in": "header", "name": "APCA-API-SECRET-KEY"},
    "flow": {"type": "http", "scheme": "bearer"},
    "intelligence": {"type": "apiKey", "in": "header", "name": "CG-API-KEY"},
}
ABOUT = """A venue that speaks Alpaca's protocol on a recording.

Answers, refusals and their codes are as Alpaca publishes them. Everything under /v1 and /v2 asks for the two key
headers. The streams are `/stream` (trade updates), `/v2/iex` (stocks) and `/v1beta3/crypto/us` (crypto)."""


def description(app: FastAPI) -> Json:
    """The whole description of `app`: a route is in it only if it is served."""
    found: Json = get_openapi(title=app.title, version=app.version, description=ABOUT, routes=app.routes)
    components: Json = found.setdefault("components", {})
    schemas: Json = components.setdefault("schemas", {})
    components["securitySchemes"] = SECRETS
    served = {_shape(path): path for path in found["paths"]}
    for endpoint in (*ENDPOINTS, *OUTSIDE):
        path = served.get(_shape(endpoint.path))
        operations = found["paths"][path] if path is not None else {}
        if endpoint.method.lower() in operations:
            operations[endpoint.method.lower()] = _operation(endpoint, path or endpoint.path, schemas)
    return found


def _shape(path: str) -> str:
    """A path without the names of its places, which a route may call otherwise."""
    return re.sub(r"\{\w+\}", "{}", path)


def _operation(endpoint: Endpoint, path: str, schemas: Json) -> Json:
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"\{(\w+)\}", path)
    ]
    parameters += [_parameter(each) for each in endpoint.query]
    kinds = {endpoint.status: endpoint.answer} | dict.fromkeys(endpoint.statuses, endpoint.refusal)
    counted = set(kinds) - {401} if endpoint.common else set()
    responses = {
        str(status): _response(status, kind, schemas, counted=status in counted) for status, kind in kinds.items()
    }
    operation: Json = {
        "summary": endpoint.summary,
        "tags": [endpoint.tag],
        "operationId": re.sub(r"\W+", "_", f"{endpoint.method} {endpoint.path}").strip("_").lower(),
        "parameters": parameters,
        "responses": responses,
        "security": [{key: [] for key in endpoint.keys}] if endpoint.keys else [],
    }
    if endpoint.body is not None:
        schema = _schema(endpoint.body, schemas, "validation")
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    return operation


def _parameter(asked: Parameter) -> Json:
    shown: Json = {
        "name": asked.name,
        "in": "query",
        "required": asked.required,
        "schema": TypeAdapter(asked.kind).json_schema(),
    }
    return shown | ({"description": asked.text} if asked.text else {})


def _response(status: int, kind: Any, schemas: Json, *, counted: bool) -> Json:
    """`counted`: it tells how many requests are left."""
    shown: Json = {"description": ANSWERS[status]}
    if counted:
        shown["headers"] = {
            name: {"schema": {"type": "integer"}}
            for name in ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
        }
    if kind is not None:
        shown["content"] = {"application/json": {"schema": _schema(kind, schemas, "serialization")}}
    return shown


def _schema(kind: Any, schemas: Json, mode: JsonSchemaMode) -> Json:
    """The schema of `kind`; the models in it go to `schemas`."""
    found: Json = TypeAdapter(kind).json_schema(by_alias=True, ref_template=REFERENCE, mode=mode)
    schemas.update(found.pop("$defs", {}))
    title = found.get("title")
    if found.get("type") == "object" and title is not None and "properties" in found:
        schemas[title] = found
        return {"$ref": REFERENCE.format(model=title)}
    return found
