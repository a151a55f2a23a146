"""The OpenAPI description as a plain page needs it: routes and schemas, without a viewer from elsewhere."""

from typing import Any


def routes(schema: dict[str, Any]) -> list[dict[str, Any]]:
    """One row a route: method, path, summary, parameters (name, note, text) and answers (code, text, model)."""
    return [
        {
            "method": method.upper(),
            "path": path,
            "summary": operation.get("summary", ""),
            "parameters": [_parameter(each) for each in operation.get("parameters", [])],
            "body": _model(_json(operation.get("requestBody", {}))),
            "answers": [
                {"code": code, "text": answer.get("description", ""), "model": _model(_json(answer))}
                for code, answer in operation["responses"].items()
            ],
        }
        for path, operations in schema["paths"].items()
        for method, operation in operations.items()
    ]


def schemas(schema: dict[str, Any]) -> list[dict[str, Any]]:
    """One row a schema: name, text and fields (name, kind, text)."""
    return [
        {
            "name": name,
            "text": each.get("description", ""),
            "fields": [
                {"name": field, "kind": _kind(spec), "text": spec.get("description", "")}
                for field, spec in each.get("properties", {}).items()
            ],
        }
        for name, each in schema["components"]["schemas"].items()
        if each.get("properties")
    ]


def _parameter(parameter: dict[str, Any]) -> dict[str, str]:
    needed = ", required" if parameter.get("required") else ""
    kind = _kind(parameter.get("schema", {}))
    return {
        "name": parameter["name"],
        "note": f"{parameter['in']}, {kind}{needed}",
        "text": parameter.get("description", ""),
    }


def _json(content: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = content.get("content", {}).get("application/json", {}).get("schema", {})
    return found


def _model(spec: dict[str, Any]) -> str:
    if "$ref" in spec:
        return str(spec["$ref"]).rsplit("/", 1)[-1]
    inner = _model(spec.get("items", {})) if spec.get("type") == "array" else ""
    return f"list of {inner}" if inner else ""


def _kind(spec: dict[str, Any]) -> str:
    if "anyOf" in spec:
        return " or ".join(_kind(each) for each in spec["anyOf"])
    kind = _model(spec) or str(spec.get("type", "any"))
    if "enum" in spec:
        return " | ".join(repr(each) for each in spec["enum"])
    return f"{kind} ({spec['format']})" if "format" in spec else kind
