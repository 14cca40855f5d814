"""Pages as a browser asks for them, without a browser."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flask.testing import FlaskClient


def ask(client: FlaskClient, address: str) -> dict[str, Any]:
    """What Dash is sent for an address: the page's layout, as plain data. The same request as the browser's."""
    path, _, query = address.partition("?")
    first = client.get("/")
    assert first.status_code in (200, 302), first.text
    token = client.get_cookie("_csrf_token")
    search = f"?{query}" if query else ""
    told = client.get("/_dash-dependencies").get_json()
    pages = next(item for item in told if "_pages_content.children" in item["output"])
    body = {
        "output": pages["output"],
        "outputs": [{"id": "_pages_content", "property": "children"}, {"id": "_pages_store", "property": "data"}],
        "inputs": [
            {"id": "_pages_location", "property": "pathname", "value": path},
            {"id": "_pages_location", "property": "search", "value": search},
        ],
        "changedPropIds": ["_pages_location.pathname"],
    }
    answer = client.post(
        "/_dash-update-component", json=body, headers={"X-CSRFToken": token.value if token is not None else ""}
    )
    assert answer.status_code == 200, answer.text[:500]
    return answer.get_json()["response"]["_pages_content"]["children"]


def walk(node: Any) -> Iterator[dict[str, Any]]:
    """Every component of a layout."""
    if isinstance(node, dict):
        if "props" in node:
            yield node
        for value in node.values():
            yield from walk(value)
    elif isinstance(node, list):
        for item in node:
            yield from walk(item)


def text_of(node: Any) -> str:
    """All text of a layout."""
    if isinstance(node, str | int | float):
        return str(node)
    if isinstance(node, list):
        return " ".join(text_of(item) for item in node)
    if isinstance(node, dict) and "props" in node:
        return text_of(node["props"].get("children") or "")
    return ""
