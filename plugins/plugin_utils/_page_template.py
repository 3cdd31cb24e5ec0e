# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page as a Jinja2 template; everything that is filled in is escaped, by autoescape.

A row is a ``details`` element: it opens by a click, by Enter and by the space bar, and a browser's search looks into
it, all without a script. End tags that HTML lets one leave out are left out where there are thousands of them.

PRIVATE: may change in any release.
"""

from __future__ import annotations

TEMPLATE = """\
{%- macro mark(state) -%}
<svg class="mark {{ state }}" width="12" height="12" viewBox="0 0 12 12" aria-hidden="true">
{%- if state == "critical" %}<path d="M6 0 12 11.5H0z"/>
{%- elif state == "warning" %}<path d="M6 0 12 6 6 12 0 6z"/>
{%- elif state == "fine" %}<circle cx="6" cy="6" r="4"/>
{%- else %}<path d="M1 3 3 1l3 3 3-3 2 2-3 3 3 3-2 2-3-3-3 3-2-2 3-3z"/>{% endif -%}
</svg>
{%- endmacro -%}

{%- macro cells(host) -%}
<svg class="cells fine" viewBox="0 0 {{ width }} 26" aria-hidden="true">
{%- for layer in host.layers %}<path class="{{ layer.kind }}" d="{{ layer.path }}"/>{% endfor %}
{%- for cell in host.cells %}
{%- if cell.tip %}<text class="{{ cell.level }}" x="{{ cell.x }}" y="15">{{ cell.words }}
{#- #}<title>{{ cell.tip }}</title></text>
{%- else %}<text x="{{ cell.x }}" y="15">{{ cell.words }}</text>{% endif -%}
{%- endfor -%}
</svg>
{%- endmacro -%}

{%- macro limits(host) -%}
<table><thead><tr><th>limit<th>used<th>share<th>held by<tbody>
{%- for limit in host.limits -%}
<tr{% if limit.level != "fine" %} class="{{ limit.level }}"{% endif %}><th scope="row">{{ limit.what }}
{#- #}<td>{{ limit.used }}<td>{{ limit.share }}<td>{{ limit.holders }}
{%- endfor -%}
</table>
{%- if host.more %}
<p class="soft">{{ host.more }} more limits, all with more left, stand in the JSON file.</p>
{%- endif %}
{%- endmacro -%}

{%- macro listed(heading, lines) -%}
{%- if lines %}
<h3>{{ heading }}</h3>
<ul>{% for line in lines %}<li>{{ line }}</li>{% endfor %}</ul>
{%- endif %}
{%- endmacro -%}

{%- macro row(host) -%}
<details class="host {{ host.state }}" id="{{ host.id }}"><summary>{{ mark(host.state) }}
<span class="name" title="{{ host.name }}">{{ host.name }}</span>
{%- if host.reason %}
<span class="why" title="{{ host.reason }}"><b>{{ host.state }}</b>: {{ host.reason }}</span></summary>
<div class="detail"><p>{{ host.reason }}</p></div>
{%- else %}
{{ cells(host) }}<span class="hidden">{{ host.spoken }}</span>
<span class="worst" title="{{ host.worst }}">{{ host.worst }}
{%- if host.gaps %} (not everything could be read){% endif %}</span></summary>
<div class="detail">
{{- limits(host) }}
{%- for remedy in host.remedies %}{% if loop.first %}
<h3>To act</h3>{% endif %}
<pre><code>{{ remedy }}</code></pre>
{%- endfor %}
{{- listed("Out of proportion", host.suspects) }}
{{- listed("Could not be read", host.gaps) }}
{{- listed("Left out", host.left_out) }}
<p class="soft">{{ host.context }}</p>
</div>
{%- endif %}
</details>
{%- endmacro -%}

<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="hostcare.remediation">
<title>Triage: {{ summary }}</title>
<link rel="icon" href="data:,">
<style>{{ style }}
.map { --cells: minmax(0, {{ width }}px); }
</style>
</head>
<body>
<a class="skip" href="#hosts">Skip to the hosts</a>
<header>
<h1>{{ headline }}</h1>
<p class="soft">Triage of <time datetime="{{ generated }}">{{ moment }}</time></p>
{%- if spread %}
<svg class="spread" viewBox="0 0 1000 10" preserveAspectRatio="none" role="img" aria-label="{{ summary }}">
{%- for part in spread %}
<rect class="mark {{ part.state }}" x="{{ part.x }}" width="{{ part.width }}" height="10"/>
{%- endfor %}
</svg>
<fieldset class="states"><legend class="hidden">Show the hosts that are</legend>
{%- for group in groups %}
<label class="{{ group.state }}"><input type="checkbox" id="show-{{ group.state }}" checked>{{ mark(group.state) }}
<span><b>{{ group.count }}</b> {{ group.state }}</span></label>
{%- endfor %}
</fieldset>
{%- endif %}
</header>
<main>
{%- if todo %}
<h2 id="todo">What is critical</h2>
<div class="todo">
<table><thead><tr><th>resource<th>hosts<th>where<th>remedy<tbody>
{%- for item in todo %}
<tr class="critical"><th scope="row">{{ mark("critical") }} {{ item.title }}<td>{{ item.count }}<td>
{%- for host in item.hosts %}<a href="#{{ host.id }}">{{ host.name }}</a>{{ ", " if not loop.last }}{% endfor %}
{%- if item.more %} and {{ item.more }} more{% endif %}<td>{{ item.incident or "none in this collection" }}
{%- endfor %}
</table>
{%- if act %}
<p>To act on all that have a remedy, one host first; with <code>--check</code> it only says what it would do:</p>
<pre><code>{{ act }}</code></pre>
{%- endif %}
</div>
{%- endif %}
<h2 id="hosts">Hosts <small>the worst first; open one to see who holds what</small></h2>
<div class="map{{ " many" if many }}">
<div class="heads" aria-hidden="true"><span></span><span>host</span>
<svg viewBox="0 0 {{ width }} 32">
{%- for column in columns %}
{%- for word in column.words %}<text x="{{ column.x }}" y="{{ 28 if loop.last else 14 }}">{{ word }}</text>{% endfor -%}
{% endfor -%}
</svg><span class="last">scarcest</span></div>
{%- for group in groups %}
<section class="group {{ group.state }}" id="{{ group.state }}">
<h2>{{ group.state }} <small>{{ group.count }}</small></h2>
{%- for host in group.hosts %}
{{ row(host) }}
{%- endfor %}
</section>
{%- endfor %}
</div>
</main>
<footer>
<dl>
<dt>A cell</dt><dd>is the scarcest limit of its kind on that host: the part of it that is used.
A dash means that the host has none.</dd>
<dt>critical</dt><dd>from {{ critical }} % on, or where too little is left to start what the limit is for.</dd>
<dt>warning</dt><dd>from {{ warning }} % on, or where it would be full within {{ horizon }}.</dd>
<dt>unreachable, failed</dt><dd>the host could not be measured. One that has no process slot left may look so.</dd>
</dl>
<p>Written by hostcare.remediation. This page loads nothing and runs no script.</p>
</footer>
</body>
</html>
"""
