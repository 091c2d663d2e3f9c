"""What the service says of itself: OpenAPI, and a page of it that needs no other machine."""

from html import escape
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.responses import HTMLResponse

import qa_lightning
from qa_lightning.service.gate import OPEN
from qa_lightning.service.schemas import ErrorResponse

_PROBLEMS: Final = (401, 408, 413, 422, 500, 503, 504)
_FRAMEWORKS: Final = ("/docs", "/docs/oauth2-redirect", "/redoc")  # these load scripts from a CDN
_KEYS: Final = {
    "ApiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "Bearer": {"type": "http", "scheme": "bearer"},
}
_STYLE: Final = (
    "body{font:1rem/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;width:100%}td,th{border:1px solid #8886;padding:.3rem .5rem;"
    "text-align:left;vertical-align:top}pre{background:#8882;padding:.7rem;overflow:auto}"
    "@media(prefers-color-scheme:dark){body{background:#181818;color:#ddd}a{color:#9cf}}"
)
_EXAMPLE: Final = """\
curl {address}/predict -H 'Content-Type: application/json'{key} \\
  -d '{{"question": "Onde mora Rui?", "context": "Ana mora em Lisboa. Rui mora no Porto."}}'"""


def tell(app: FastAPI, *, wants_key: bool) -> None:
    """Give an app its OpenAPI, with errors, keys and metrics, and ``/docs``."""
    app.router.routes[:] = [
        route for route in app.router.routes if getattr(route, "path", "") not in _FRAMEWORKS
    ]

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _completed(
                get_openapi(
                    title="qa_lightning", version=qa_lightning.__version__, routes=app.routes
                ),
                wants_key=wants_key,
            )
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(_page(app.openapi()))


def _completed(schema: dict[str, Any], *, wants_key: bool) -> dict[str, Any]:
    """Return a schema with what the gate adds: errors, metrics and keys."""
    parts = schema["components"]
    parts["schemas"]["ErrorResponse"] = ErrorResponse.model_json_schema(
        ref_template="#/components/schemas/{model}"
    )
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorResponse"}}}
    problem = {"description": "What was wrong, in words", "content": content}
    asked = schema["paths"]["/predict"]["post"]["responses"]
    asked.update({str(status): problem for status in _PROBLEMS})
    schema["paths"]["/metrics"] = {
        "get": {
            "summary": "Metrics",
            "description": "Requests by path and status, their seconds, those in flight: "
            "Prometheus' text format.",
            "responses": {"200": {"description": "OK", "content": {"text/plain": {}}}},
        }
    }
    if wants_key:
        parts["securitySchemes"] = _KEYS
        schema["security"] = [{name: []} for name in _KEYS]
        for path in schema["paths"].keys() & set(OPEN):
            for operation in schema["paths"][path].values():
                operation["security"] = []
    return schema


def _page(schema: dict[str, Any]) -> str:
    """Return the schema for people: what is asked, with which fields, and what comes back."""
    key = " -H 'X-API-Key: ...'" if "security" in schema else ""
    example = _EXAMPLE.format(address="http://127.0.0.1:8000", key=key)
    operations = "".join(
        f"<h2><code>{method.upper()} {escape(path)}</code></h2>"
        f"<p>{escape(one.get('description') or one.get('summary', ''))}</p>"
        for path, methods in schema["paths"].items()
        for method, one in methods.items()
    )
    tables = "".join(
        f"<h3 id='{escape(name)}'>{escape(name)}</h3><p>{escape(one.get('description', ''))}</p>"
        f"<table><tr><th>field<th>type<th></tr>{_rows(one)}</table>"
        for name, one in schema["components"]["schemas"].items()
        if "properties" in one and "Validation" not in name
    )
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport "
        f"content='width=device-width'><title>qa_lightning</title><style>{_STYLE}</style>"
        f"<h1>qa_lightning {escape(schema['info']['version'])}</h1><p>For programs: <a href="
        f"openapi.json>openapi.json</a>.</p><pre>{escape(example)}</pre>{operations}{tables}"
    )


def _rows(schema: dict[str, Any]) -> str:
    needed = schema.get("required", [])
    return "".join(
        f"<tr><td><code>{escape(name)}</code>{'' if name in needed else ' (optional)'}"
        f"<td>{escape(_kind(one))}<td>{escape(one.get('description', ''))}</tr>"
        for name, one in schema["properties"].items()
    )


def _kind(schema: dict[str, Any]) -> str:
    """Say a field's type shortly."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(_kind(one) for one in schema["anyOf"])
    if "const" in schema:
        return repr(schema["const"])
    if "enum" in schema:
        return " or ".join(map(repr, schema["enum"]))
    kind = str(schema.get("type", "any"))
    return f"list of {_kind(schema.get('items', {}))}" if kind == "array" else kind
