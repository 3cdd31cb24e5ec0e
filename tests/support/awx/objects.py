# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""The objects that the stand-in for AWX keeps.

It answers for them, and refuses what AWX would refuse: unknown fields and filters, dangling references, names taken,
playbooks that the project does not hold, surveys and answers that break the rules, links that make a circle.
"""

from __future__ import annotations

import json
import re
import typing as t
from collections import defaultdict
from pathlib import Path

from ansible_collections.hostcare.remediation.tests.support.awx import rules

Item = dict[str, t.Any]


LOOKS = {
    "job_type": ("run", "check"),
    "pull": ("", "always", "missing", "never"),
    "scm_type": ("", "git", "svn", "insights", "archive"),
    "source": ("file", "constructed", "scm", "ec2"),
}
ASKS = {"ask_inventory_on_launch": False, "ask_labels_on_launch": False, "ask_limit_on_launch": False,
        "ask_variables_on_launch": False, "survey_enabled": False, "allow_simultaneous": False}  # fmt: skip
REQUIRED: t.Any = object()
# Each kind with its fields and their defaults.
FIELDS: dict[str, Item] = {
    "organizations": {"name": REQUIRED},
    "credentials": {"name": REQUIRED},
    "execution_environments": {"name": REQUIRED, "image": REQUIRED, "description": "", "organization": 0, "pull": ""},
    "projects": {"name": REQUIRED, "description": "", "organization": REQUIRED, "scm_type": "", "scm_url": "",
                 "scm_branch": "", "credential": 0},
    "inventories": {"name": REQUIRED, "description": "", "organization": REQUIRED, "kind": "", "host_filter": None},
    "inventory_sources": {"name": REQUIRED, "description": "", "inventory": REQUIRED, "source": REQUIRED,
                          "source_project": 0, "source_path": "", "overwrite": False, "overwrite_vars": False,
                          "update_on_launch": False,
                          "update_cache_timeout": 0},
    "labels": {"name": REQUIRED, "organization": REQUIRED},
    "job_templates": {"name": REQUIRED, "description": "", "organization": 0, "project": REQUIRED, "playbook": REQUIRED,
                      "inventory": 0, "execution_environment": 0, "job_type": "run", "diff_mode": False, "timeout": 0,
                      "ask_job_type_on_launch": False, "extra_vars": "", **ASKS},
    "workflow_job_templates": {"name": REQUIRED, "description": "", "organization": 0, "inventory": 0, "extra_vars": "",
                               **ASKS},
    "workflow_job_template_nodes": {"identifier": REQUIRED, "workflow_job_template": REQUIRED,
                                    "unified_job_template": 0, "type": ""},
    "workflow_approval_templates": {"name": REQUIRED, "description": "", "timeout": 0},
    "project_updates": {}, "jobs": {}, "workflow_jobs": {},
}  # fmt: skip
REFERENCES = {"organization": "organizations", "credential": "credentials", "project": "projects",
              "source_project": "projects", "inventory": "inventories",
              "execution_environment": "execution_environments",
              "workflow_job_template": "workflow_job_templates"}  # fmt: skip
TYPES = {"inventories": "inventory"}
# What no two of a kind have alike.
UNIQUE = {"inventory_sources": ("name", "inventory"),
          "workflow_job_template_nodes": ("identifier", "workflow_job_template"),
          **dict.fromkeys(("workflow_approval_templates", "project_updates", "jobs", "workflow_jobs"), ())}  # fmt: skip
UNIFIED = ("job_templates", "workflow_job_templates", "workflow_approval_templates", "projects", "inventory_sources")
LINKS = ("success_nodes", "failure_nodes", "always_nodes")
ASSOCIATIONS = {"labels": "labels", "credentials": "credentials", **dict.fromkeys(LINKS, "workflow_job_template_nodes")}
# What an object takes with it.
OWNED = {"workflow_job_templates": [("workflow_job_template_nodes", "workflow_job_template")],
         "inventories": [("inventory_sources", "inventory")]}  # fmt: skip


class NotThere(Exception):
    """What is answered with 404."""


class Controller:
    """The objects, and everything that can be done to them."""

    def __init__(self, checkout: Path) -> None:
        self._checkout = checkout
        self._next = 1
        self.items: dict[str, dict[int, Item]] = {kind: {} for kind in FIELDS}
        self.surveys: dict[tuple[str, int], Item] = {}
        self.related: dict[tuple[str, int, str], list[int]] = defaultdict(list)
        self.playbooks: dict[int, list[str]] = {}
        self.launches: list[Item] = []
        self.status_of_jobs = "successful"
        self.create("organizations", {"name": "Default"})
        self.create("credentials", {"name": "The key"})

    def named(self, kind: str) -> dict[str, Item]:
        return {one.get("name") or one["identifier"]: one for one in self.items[kind].values()}

    def one(self, kind: str, number: int) -> Item:
        try:
            return self.items[kind][number]
        except KeyError as error:
            raise NotThere(f"{kind} {number}") from error

    def listed(self, kind: str, filters: dict[str, str]) -> list[Item]:
        kinds = UNIFIED if kind == "unified_job_templates" else (kind,)
        found = [one for each in kinds for one in self.items[each].values()]
        either = {name[4:]: value for name, value in filters.items() if name.startswith("or__")}
        for name, value in filters.items():
            if name in ("page", "page_size") or name.startswith("or__"):
                continue
            field, _dummy, lookup = name.partition("__")
            if lookup not in ("", "in") or not any(field in (*FIELDS[each], "id") for each in kinds):
                raise rules.Refused(f"cannot filter {kind} by {name}")
            wanted = value.split(",") if lookup else [value]
            found = [one for one in found if str(one.get(field)) in wanted]
        return [
            one for one in found if not either or any(str(one.get(name)) == value for name, value in either.items())
        ]

    def create(self, kind: str, given: Item) -> Item:
        given = _without_nulls(kind, given)
        item = {name: default for name, default in FIELDS[kind].items() if default is not REQUIRED}
        missing = [name for name, default in FIELDS[kind].items() if default is REQUIRED and not given.get(name)]
        if missing:
            raise rules.Refused(f"{kind}: required: {missing}")
        self._check(kind, given, 0)
        number, self._next = self._next, self._next + 1
        url = f"/api/v2/{kind}/{number}/"
        item |= {
            "id": number,
            "type": TYPES.get(kind, kind[:-1]),
            "url": url,
            "summary_fields": {},
            "related": {},
            **given,
        }
        if kind in ("job_templates", "workflow_job_templates"):
            item["related"] = {"survey_spec": f"{url}survey_spec/", "launch": f"{url}launch/"}
            self.surveys[kind, number] = {}
        if kind == "projects":
            item |= {"scm_revision": "", "related": {"update": f"{url}update/"}}
            self.playbooks[number] = []
        self._summarize(item)
        self.items[kind][number] = item
        return item

    def patch(self, kind: str, number: int, given: Item) -> Item:
        item, given = self.one(kind, number), _without_nulls(kind, given)
        self._check(kind, {**{name: item[name] for name in FIELDS[kind] if name in item}, **given}, number)
        item.update(given)
        self._summarize(item)
        return item

    def _check(self, kind: str, given: Item, number: int) -> None:
        unknown = set(given) - set(FIELDS[kind])
        if unknown:
            raise rules.Refused(f"{kind} has no {sorted(unknown)}")
        for name, value in given.items():
            self._check_value(name, value, FIELDS[kind][name])
        unique = UNIQUE.get(kind, ("name", "organization"))
        for other in self.items[kind].values():
            if unique and other["id"] != number and all(other.get(name) == given.get(name, 0) for name in unique):
                raise rules.Refused(f"{kind} with this name already exists")
        if kind == "job_templates" and given["playbook"] not in self.playbooks[given["project"]]:
            raise rules.Refused(f"Playbook not found for project: {given['playbook']}")
        target = given.get("unified_job_template")
        if target and not any(target in self.items[each] for each in UNIFIED):
            raise rules.Refused(f"unified_job_template: Invalid pk {target}")

    def _check_value(self, name: str, value: t.Any, default: t.Any) -> None:
        if name in REFERENCES:
            if value and value not in self.items[REFERENCES[name]]:
                raise rules.Refused(f"{name}: Invalid pk {value}")
        elif name in LOOKS and value not in LOOKS[name]:
            raise rules.Refused(f"{name}: {value!r} is not a valid choice")
        elif default not in (None, REQUIRED) and type(value) is not type(default):
            raise rules.Refused(f"{name}: {value!r} is no {type(default).__name__}")

    def _summarize(self, item: Item) -> None:
        if item.get("organization"):
            organization = self.items["organizations"][item["organization"]]
            item["summary_fields"]["organization"] = {"id": organization["id"], "name": organization["name"]}
        target = item.get("unified_job_template")
        if target:
            kind = next(each for each in UNIFIED if target in self.items[each])
            item["related"]["unified_job_template"] = f"/api/v2/{kind}/{target}/"

    def delete(self, kind: str, number: int) -> None:
        self.one(kind, number)
        for owned, field in OWNED.get(kind, []):
            for one in [one["id"] for one in self.items[owned].values() if one[field] == number]:
                self.delete(owned, one)
        approval = self.items[kind].pop(number).get("unified_job_template")
        self.items["workflow_approval_templates"].pop(approval, None)
        self.surveys.pop((kind, number), None)
        for key in [key for key in self.related if key[:2] == (kind, number)]:
            gone = self.related.pop(key)
            if key[2] == "labels":
                self._drop_labels(gone)

    def _drop_labels(self, numbers: list[int]) -> None:
        """A label goes with the last that had it."""
        kept = {one for key, ids in self.related.items() if key[2] == "labels" for one in ids}
        for number in set(numbers) - kept:
            del self.items["labels"][number]

    def update_project(self, number: int) -> Item:
        """Reads which playbooks there are, as AWX does: files that hold a play."""
        playbook = re.compile(r"^\s*-?\s*(hosts|(ansible\.builtin\.)?import_playbook):", re.MULTILINE)
        names = [path for path in self._checkout.glob("playbooks/*.yml") if playbook.search(path.read_text())]
        self.playbooks[number] = [str(path.relative_to(self._checkout)) for path in names]
        self.items["projects"][number]["scm_revision"] = "0123456789abcdef"
        done = self.create("project_updates", {})
        done |= {"status": "successful", "failed": False, "finished": "now", "elapsed": 0.1, "started": "now",
                 "event_processing_finished": True, "scm_revision": "0123456789abcdef"}  # fmt: skip
        return done

    def associate(self, kind: str, number: int, name: str, given: Item) -> None:
        self.one(kind, number)
        other = self.one(ASSOCIATIONS[name], given["id"])["id"]
        ids = self.related[kind, number, name]
        if given.get("disassociate"):
            ids.remove(other)
            if name == "labels":
                self._drop_labels([other])
            return
        if name in LINKS:
            links: dict[str, dict[int, set[int]]] = {link: {} for link in LINKS}
            for (_dummy, parent, link), children in self.related.items():
                if link in links:
                    links[link][parent] = set(children)
            rules.check_link(links, name, number, other)
        ids.append(other)

    def approve_at(self, number: int, given: Item) -> Item:
        node = self.one("workflow_job_template_nodes", number)
        if node["unified_job_template"]:
            raise rules.Refused("this node has a template already")
        template = self.create("workflow_approval_templates", given)
        node["unified_job_template"] = template["id"]
        self._summarize(node)
        return template

    def launch(self, kind: str, number: int, given: Item) -> Item:
        template = {**self.one(kind, number), "survey_spec": self.surveys[kind, number]}
        variables = given.get("extra_vars", {})
        taken = rules.accepted(template, json.loads(variables) if isinstance(variables, str) else variables)
        limit = given.get("limit", "") if template["ask_limit_on_launch"] else ""
        job = self.create({"job_templates": "jobs", "workflow_job_templates": "workflow_jobs"}[kind], {})
        job |= {"name": template["name"], "status": self.status_of_jobs, "created": "now", "artifacts": {}}
        self.launches.append({"name": template["name"], "extra_vars": taken, "limit": limit, "asked": given})
        return job


def _without_nulls(kind: str, given: Item) -> Item:
    """Where AWX keeps text it takes null for the empty text."""
    return {name: "" if value is None and FIELDS[kind].get(name) == "" else value for name, value in given.items()}
