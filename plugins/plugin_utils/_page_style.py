# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the page looks: quiet colours on light and dark, one accent for each state, and a sheet for paper.

PRIVATE: may change in any release.
"""

from __future__ import annotations

# Every pair of ink and ground has a contrast of 4.5 or more (WCAG 2.2, 1.4.3); a test measures it in a browser.
STYLE = """
:root {
  color-scheme: light dark;
  --ground: #f7f7f5; --card: #ffffff; --ink: #1c2126; --soft: #59626c; --line: #dfe2e6; --focus: #0b5cad;
  --critical: #a31d16; --critical-ground: #fadfdb; --critical-bar: #c4342a;
  --warning: #724600; --warning-ground: #fbecc9; --warning-bar: #cf8a0a;
  --fine: #3d4852; --fine-ground: #edf0f3; --fine-bar: #8aa1b8;
  --silent: #4a3d78; --silent-ground: #e9e6f4; --silent-bar: #8d80bd;
  --code: #f1f2f4;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #121518; --card: #1a1e23; --ink: #e4e7ea; --soft: #a2abb5; --line: #2d333a; --focus: #7cb8ff;
    --critical: #ffb3ab; --critical-ground: #4a1b19; --critical-bar: #e0564b;
    --warning: #f4cb78; --warning-ground: #3d2e10; --warning-bar: #bd8318;
    --fine: #bcc7d2; --fine-ground: #242a31; --fine-bar: #56697d;
    --silent: #cdc3f2; --silent-ground: #2d2745; --silent-bar: #7c6fb5;
    --code: #22272d;
  }
}
* { box-sizing: border-box; }
html { scroll-padding-top: 5rem; }
body {
  margin: 0; background: var(--ground); color: var(--ink);
  font: 15px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif;
}
main, header, footer { max-width: 96rem; margin: 0 auto; padding: 0 1.5rem; }
header { padding-top: 1.75rem; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0; font-weight: 650; letter-spacing: -.01em; }
h2 { font-size: 1.05rem; margin: 2rem 0 .6rem; font-weight: 650; }
h2 small, h3 small { font-weight: 400; color: var(--soft); font-size: .85rem; margin-left: .4rem; }
h3 { font-size: .95rem; margin: 0 0 .35rem; font-weight: 600; }
p { margin: .3rem 0; }
.soft { color: var(--soft); }
.skip { position: absolute; left: -99rem; }
.skip:focus { left: 1rem; top: 1rem; z-index: 9; background: var(--card); padding: .5rem 1rem; }
.hidden {
  position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap;
}
:focus-visible { outline: 2px solid var(--focus); outline-offset: 2px; border-radius: 3px; }
a { color: inherit; }
code, pre { font: .85rem/1.5 ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; }
pre {
  background: var(--code); border-radius: 6px; padding: .5rem .75rem; margin: .4rem 0; user-select: all;
  white-space: pre-wrap; overflow-wrap: anywhere;
}

.spread { display: block; width: 100%; height: 10px; margin: 1rem 0 .75rem; border-radius: 5px; }
.states { display: flex; flex-wrap: wrap; gap: .5rem; margin: 0; padding: 0; border: 0; }
.states label {
  display: flex; align-items: center; gap: .45rem; padding: .3rem .75rem .3rem .55rem; border-radius: 99px;
  background: var(--card); border: 1px solid var(--line); cursor: pointer; font-variant-numeric: tabular-nums;
}
.states label:has(:focus-visible) { outline: 2px solid var(--focus); outline-offset: 2px; }
.states input { accent-color: var(--soft); margin: 0; }
.states b { font-weight: 650; }

.critical { --on: var(--critical); --under: var(--critical-ground); --bar: var(--critical-bar); }
.warning { --on: var(--warning); --under: var(--warning-ground); --bar: var(--warning-bar); }
.fine { --on: var(--fine); --under: var(--fine-ground); --bar: var(--fine-bar); }
.unreachable, .failed { --on: var(--silent); --under: var(--silent-ground); --bar: var(--silent-bar); }
.mark { fill: var(--bar); flex: none; vertical-align: -.06em; }

.todo { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: .4rem .9rem .7rem; }
.todo table { margin-bottom: .7rem; }
.todo td:nth-child(2) { min-width: 0; text-align: right; font-variant-numeric: tabular-nums; }
.todo th:nth-child(2) { text-align: right; }
.todo td:nth-child(3) { width: 60%; overflow-wrap: anywhere; }
.todo td:nth-child(4) { white-space: nowrap; }
.todo .mark { margin-right: .3rem; }
.todo pre { margin-bottom: 0; }

.map { background: var(--card); border: 1px solid var(--line); border-radius: 8px; }
.heads, summary { display: grid; grid-template-columns: .8rem 14rem var(--cells) minmax(12rem, 1fr); gap: 0 .75rem; }
.heads {
  position: sticky; top: 0; z-index: 2; align-items: end; padding: .5rem .9rem .4rem; background: var(--card);
  border-bottom: 1px solid var(--line); border-radius: 8px 8px 0 0; font-size: .8rem; color: var(--soft);
}
.heads svg, summary svg.cells { display: block; width: 100%; height: auto; overflow: visible; }
.heads text { fill: var(--soft); font-size: 11.5px; text-anchor: middle; }
.group > h2 {
  margin: 0; padding: .9rem .9rem .35rem; font-size: .8rem; text-transform: uppercase; letter-spacing: .06em;
  color: var(--on);
}
details.host { border-top: 1px solid var(--line); }
.many details.host { content-visibility: auto; contain-intrinsic-size: auto 2.4rem; }
.many details.host[open] { contain-intrinsic-size: auto 24rem; }
.group > h2 + details.host { border-top: 0; }
summary { align-items: center; padding: .28rem .9rem; cursor: pointer; list-style: none; }
summary::-webkit-details-marker { display: none; }
summary:hover { background: color-mix(in srgb, var(--under) 45%, transparent); }
summary:focus-visible { outline-offset: -2px; }
.name { font-weight: 550; font-size: .92rem; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.worst { color: var(--soft); font-size: .85rem; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.critical .worst, .warning .worst { color: var(--on); }
.why {
  grid-column: 3 / -1; color: var(--on); background: var(--under); border-radius: 4px; padding: .15rem .6rem;
  overflow: hidden; text-overflow: ellipsis; white-space: nowrap; font-size: .9rem;
}
.cells text {
  fill: var(--on); font-size: 12px; text-anchor: middle; font-variant-numeric: tabular-nums;
}
.cells text.critical { font-weight: 700; }
.cells path { fill: none; stroke: var(--under); stroke-width: 24; stroke-linecap: butt; }
.cells path.heat1 { stroke: color-mix(in srgb, var(--bar) 12%, var(--under)); }
.cells path.heat2 { stroke: color-mix(in srgb, var(--bar) 22%, var(--under)); }
.cells path.heat3 { stroke: color-mix(in srgb, var(--bar) 32%, var(--under)); }
.cells path.bar { stroke: var(--bar); stroke-width: 3; stroke-linecap: round; }
.detail { padding: .3rem .9rem 1rem 2.65rem; font-size: .88rem; }
.detail h3 { margin-top: .9rem; }
table { border-collapse: collapse; width: 100%; margin: .4rem 0; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .22rem 1.1rem .22rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
thead th { color: var(--soft); font-weight: 500; }
tbody tr { --on: var(--ink); }
tbody th { font-weight: 550; min-width: 12rem; }
.detail td:nth-child(2) { white-space: nowrap; }
.detail td:nth-child(3) { color: var(--on); white-space: nowrap; text-align: right; }
.detail th:nth-child(3) { text-align: right; }
tr.critical { --on: var(--critical); }
tr.warning { --on: var(--warning); }
tr.critical th, .detail tr.critical td:nth-child(3) { color: var(--on); font-weight: 700; }
ul { margin: .2rem 0; padding-left: 1.1rem; }
li, td, th { overflow-wrap: break-word; }
.detail td:nth-child(4) { min-width: 14rem; overflow-wrap: anywhere; }
.detail td:nth-child(4):empty { min-width: 0; }
footer { color: var(--soft); font-size: .85rem; padding-top: 1.5rem; padding-bottom: 2.5rem; }
footer dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; margin: .5rem 0; }
footer dd { margin: 0; }

body:has(#show-critical:not(:checked)) #critical,
body:has(#show-unreachable:not(:checked)) #unreachable,
body:has(#show-failed:not(:checked)) #failed,
body:has(#show-warning:not(:checked)) #warning,
body:has(#show-fine:not(:checked)) #fine { display: none; }

@media (max-width: 70rem) {
  .heads, summary { grid-template-columns: 1rem 9rem var(--cells); }
  .worst, .heads .last { display: none; }
  .detail td:nth-child(2) { white-space: normal; min-width: 9rem; }
}
@media (max-width: 48rem) {
  header, main, footer { padding-left: .75rem; padding-right: .75rem; }
  .heads { display: none; }
  summary { grid-template-columns: 1rem 1fr; row-gap: .2rem; padding-top: .5rem; padding-bottom: .5rem; }
  summary svg.cells, .why { grid-column: 1 / -1; }
  .worst { display: block; grid-column: 1 / -1; white-space: normal; }
  .cells text { font-size: 17px; }
  table, tbody, tr, tbody th, .detail td:nth-child(n), .todo td:nth-child(n) {
    display: block; border: 0; padding: 0; min-width: 0; width: auto; text-align: left; white-space: normal;
  }
  thead, .todo td:nth-child(2) { display: none; }
  tr { border-bottom: 1px solid var(--line); padding: .3rem 0; }
  .detail { padding-left: .9rem; }
  td { color: var(--soft); }
}
@media (forced-colors: active) {
  .cells path, .mark, .spread rect { forced-color-adjust: none; }
  .why { border: 1px solid; }
}
@media print {
  :root {
    --ground: #fff; --card: #fff; --ink: #000; --soft: #444; --line: #bbb; --code: #f3f3f3;
    --critical: #8c1009; --critical-ground: #fadfdb; --critical-bar: #c4342a;
    --warning: #5c3800; --warning-ground: #fbecc9; --warning-bar: #cf8a0a;
    --fine: #222; --fine-ground: #f0f2f4; --fine-bar: #8aa1b8;
    --silent: #3a2e66; --silent-ground: #e9e6f4; --silent-bar: #8d80bd;
  }
  @page { size: A4 landscape; margin: 12mm; }
  body { font-size: 10pt; }
  header, main, footer { max-width: none; padding: 0; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  .skip, .states input { display: none; }
  .heads { position: static; }
  details.host { break-inside: avoid; content-visibility: visible; }
  #critical .host::details-content, #warning .host::details-content { content-visibility: visible; display: block; }
  }
"""
