"""The /docs page: an OpenAPI document as plain HTML, nothing loaded from elsewhere, no script."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from jinja2 import Environment

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ document.info.title }}</title>
<style>
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
body { max-width: 60rem; margin: 0 auto; padding: 1.5rem }
h2 { margin-top: 2.5rem; border-bottom: 1px solid #8886 }
details { border: 1px solid #8886; border-radius: .5rem; margin: .5rem 0; padding: .5rem .75rem }
summary { cursor: pointer; overflow-wrap: anywhere }
code, pre { font: .875rem/1.45 ui-monospace, monospace }
pre { overflow: auto; padding: .75rem; background: #8882; border-radius: .35rem }
.method { display: inline-block; min-width: 4.5rem; font-weight: 700 }
table { border-collapse: collapse; width: 100% }
td, th { text-align: left; vertical-align: top; padding: .25rem .75rem .25rem 0; border-bottom: 1px solid #8883 }
</style></head><body>
<h1>{{ document.info.title }}</h1>
<p>{{ document.info.description }}</p>
<p>The same as a machine reads it: <a href="openapi.json">openapi.json</a></p>
{% for tag in tags %}
<h2>{{ tag.name }}</h2><p>{{ tag.description }}</p>
{% for operation in tag.operations %}
<details><summary><span class="method">{{ operation.method }}</span> <code>{{ operation.path }}</code>
 {{ operation.summary }}{% if operation.public %} (no token){% endif %}</summary>
{% if operation.description %}<p>{{ operation.description }}</p>{% endif %}
{% if operation.parameters %}<table><tr><th>Parameter</th><th>In</th><th>About</th></tr>
{% for parameter in operation.parameters %}<tr><td><code>{{ parameter.name }}</code></td>
<td>{{ parameter.in }}{% if parameter.required %}, required{% endif %}</td>
<td>{{ parameter.description }} <code>{{ parameter.schema | compact }}</code></td></tr>{% endfor %}</table>{% endif %}
{% if operation.body %}<p>Body</p><pre>{{ operation.body | pretty }}</pre>{% endif %}
<table><tr><th>Status</th><th>Answer</th></tr>
{% for status, response in operation.responses %}<tr><td>{{ status }}</td>
<td>{{ response.description }} {% for type, content in (response.content or {}).items() %}
<code>{{ type }}</code> <code>{{ content.schema | compact }}</code>{% endfor %}</td></tr>{% endfor %}</table>
</details>
{% endfor %}{% endfor %}
<h2>Schemas</h2>
{% for name, schema in schemas %}<details id="{{ name }}"><summary><code>{{ name }}</code> {{ schema.description }}
</summary><pre>{{ schema | pretty }}</pre></details>{% endfor %}
</body></html>
"""

_METHODS = ("get", "post", "put", "patch", "delete", "options")


def documentation_page(document: Mapping[str, Any]) -> str:
    """The HTML page of an OpenAPI document."""
    environment = Environment(autoescape=True)
    environment.filters["pretty"] = lambda value: json.dumps(value, indent=2, ensure_ascii=False)
    environment.filters["compact"] = lambda value: json.dumps(value, ensure_ascii=False)
    components = document.get("components", {})
    return environment.from_string(_PAGE).render(
        document=document,
        tags=[
            {**tag, "operations": [entry for entry in _operations(document) if tag["name"] in entry["tags"]]}
            for tag in document.get("tags", [])
        ],
        schemas=sorted(components.get("schemas", {}).items()),
    )


def _operations(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    components = document.get("components", {})
    found = []
    for path, item in document["paths"].items():
        for method in _METHODS:
            if method not in item:
                continue
            operation = item[method]
            parameters = [*item.get("parameters", []), *operation.get("parameters", [])]
            found.append(
                {
                    "method": method.upper(),
                    "path": path,
                    "summary": operation.get("summary", ""),
                    "description": operation.get("description", ""),
                    "tags": operation.get("tags", []),
                    "public": operation.get("security") == [],
                    "parameters": [_resolved(entry, components) for entry in parameters],
                    "body": operation.get("requestBody", {}).get("content"),
                    "responses": [
                        (status, _resolved(response, components))
                        for status, response in sorted(operation.get("responses", {}).items(), key=lambda r: str(r[0]))
                    ],
                }
            )
    return found


def _resolved(entry: Mapping[str, Any], components: Mapping[str, Any]) -> Mapping[str, Any]:
    """The component that a `$ref` names, else the entry itself."""
    reference = entry.get("$ref")
    if reference is None:
        return entry
    _, _, kind, name = str(reference).split("/", 3)
    resolved: Mapping[str, Any] = components[kind][name]
    return resolved
