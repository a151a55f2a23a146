"""The OpenAPI description, and a page of it that needs nothing from elsewhere: no script, no font, no other host."""

from collections.abc import Iterator
from functools import cache
from html import escape
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.responses import HTMLResponse, JSONResponse

Json = dict[str, Any]
METHODS = ("get", "post", "patch", "put", "delete")
STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color:#222}
code{font:13px ui-monospace,monospace}table{border-collapse:collapse;width:100%;margin:.5rem 0 1rem}
td,th{text-align:left;vertical-align:top;padding:.2rem .6rem .2rem 0;border-bottom:1px solid #ddd}
summary{cursor:pointer;padding:.25rem 0}.m{display:inline-block;width:4.5rem;font-weight:600}.r{color:#a00}
@media (prefers-color-scheme:dark){body{background:#161616;color:#ddd}a{color:#8bf}.r{color:#f88}}
"""


def docs_routes(app: FastAPI) -> APIRouter:
    """`/openapi.json` and `/docs`."""
    routes = APIRouter(include_in_schema=False)

    @cache
    def described() -> Json:
        # Imported here: few runs are asked for it, and what describes some hundred objects takes long to import.
        from holdfast_papermarket.published.openapi import description

        return description(app)

    @routes.get("/openapi.json")
    async def openapi() -> JSONResponse:
        return JSONResponse(described())

    @routes.get("/docs")
    async def docs() -> HTMLResponse:
        return HTMLResponse("".join(_page(described())))

    return routes


def _page(api: Json) -> Iterator[str]:
    title, version = escape(api["info"]["title"]), escape(api["info"]["version"])
    yield f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
    yield f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head><body>'
    yield f"<h1>{title} {version}</h1><p>{escape(api['info'].get('description', ''))}</p>"
    yield '<p>The same as JSON: <a href="openapi.json">openapi.json</a> (OpenAPI 3.1).</p>'
    for tag, operations in _by_tag(api).items():
        yield f"<h2>{escape(tag)}</h2>"
        for method, path, operation in operations:
            yield from _operation(method, path, operation)
    yield "<h2>Objects</h2>"
    for name, schema in sorted(api.get("components", {}).get("schemas", {}).items()):
        yield from _object(name, schema)
    yield "</body></html>"


def _by_tag(api: Json) -> dict[str, list[tuple[str, str, Json]]]:
    found: dict[str, list[tuple[str, str, Json]]] = {}
    for path, operations in api["paths"].items():
        for method in METHODS:
            if method in operations:
                tag = (operations[method].get("tags") or ["other"])[0]
                found.setdefault(tag, []).append((method, path, operations[method]))
    return found


def _operation(method: str, path: str, operation: Json) -> Iterator[str]:
    summary = escape(operation.get("summary", ""))
    yield f'<details><summary><span class="m">{method.upper()}</span> <code>{escape(path)}</code> {summary}</summary>'
    if text := operation.get("description"):
        yield f"<p>{escape(text)}</p>"
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    if body is not None:
        yield f"<p>Body: {_kind(body)}</p>"
    if parameters := operation.get("parameters"):
        yield "<table><tr><th>Parameter</th><th>in</th><th>type</th><th></th></tr>"
        for each in parameters:
            mark = ' <span class="r">required</span>' if each.get("required") else ""
            kind, text = _kind(each.get("schema", {})), escape(each.get("description", ""))
            yield f"<tr><td><code>{escape(each['name'])}</code>{mark}</td><td>{each['in']}</td>"
            yield f"<td>{kind}</td><td>{text}</td></tr>"
        yield "</table>"
    yield "<table><tr><th>Answer</th><th>body</th><th></th></tr>"
    for status, response in operation.get("responses", {}).items():
        schema = response.get("content", {}).get("application/json", {}).get("schema")
        yield f"<tr><td>{escape(status)}</td><td>{_kind(schema) if schema else ''}</td>"
        yield f"<td>{escape(response.get('description', ''))}</td></tr>"
    yield "</table></details>"


def _object(name: str, schema: Json) -> Iterator[str]:
    yield f'<details open id="{escape(name)}"><summary><b>{escape(name)}</b></summary>'
    if text := schema.get("description"):
        yield f"<p>{escape(text)}</p>"
    yield "<table>"
    needed = schema.get("required", ())
    for field, kind in schema.get("properties", {}).items():
        mark = "" if field in needed else " (optional)"
        text = escape(kind.get("description", ""))
        yield f"<tr><td><code>{escape(field)}</code>{mark}</td><td>{_kind(kind)}</td><td>{text}</td></tr>"
    yield "</table></details>"


def _kind(schema: Json) -> str:
    """A schema in few words, with links to objects."""
    if "$ref" in schema:
        name = escape(schema["$ref"].rsplit("/", 1)[-1])
        return f'<a href="#{name}">{name}</a>'
    if "const" in schema:
        return f"<code>{escape(str(schema['const']))}</code>"
    if "enum" in schema:
        return " | ".join(f"<code>{escape(str(word))}</code>" for word in schema["enum"])
    choices = schema.get("anyOf") or schema.get("oneOf")
    if choices:
        return " or ".join(_kind(each) for each in choices)
    if schema.get("type") == "array":
        return f"array of {_kind(schema.get('items', {}))}"
    inner = schema.get("additionalProperties")
    if schema.get("type") == "object" and isinstance(inner, dict):
        return f"map of {_kind(inner)}"
    named = escape(str(schema.get("type", "anything")))
    return f"{named} ({escape(schema['format'])})" if "format" in schema else named
