# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which objects are meant, and who could hold them.

PRIVATE: may change in any release.
"""

from __future__ import annotations

import typing as t

from .._kernel.errors import Refused
from .._kernel.sysv_ipc import Facts, Object
from .._process import selection as processes

_SERVICE = ("name", "exe", "unit")
_KEY_BITS = 32
_MOST = (1 << 31) - 1


class Selection(t.NamedTuple):
    """The request, checked. ``service`` and ``bystanders`` hold a selector for each criterion: any of them will do."""

    kinds: frozenset[str]
    uids: frozenset[int] = frozenset()
    ids: frozenset[int] = frozenset()
    keys: frozenset[int] = frozenset()
    service: tuple[processes.Selector, ...] = ()
    bystanders: tuple[processes.Selector, ...] = ()

    def names(self, found: Object) -> bool:
        """Whether the user named this very object."""
        return found.id in self.ids or found.key in self.keys

    def selects(self, found: Object) -> bool:
        return self.selects_facts(found.facts) and (not (self.ids or self.keys) or self.names(found))

    def selects_facts(self, facts: Facts) -> bool:
        """Whether all but its names is as it was asked for."""
        return facts.kind in self.kinds and (not self.uids or facts.uid in self.uids)


def parse(options: t.Mapping[str, t.Any]) -> Selection:
    """Check what the user gave. Raises Refused, which names the option, the reason and the next step."""
    owners = list(options.get("owner") or ())
    return Selection(
        frozenset(options["kind"]),
        processes.parse({"user": owners}, "owner").uids if owners else frozenset(),
        frozenset(_identifier(number) for number in options.get("id") or ()),
        frozenset(_key(word) for word in options.get("key") or ()),
        _service(options.get("service"), "service"),
        tuple(one for given in options.get("bystanders") or () for one in _service(given, "bystanders")),
    )


def _service(given: t.Mapping[str, t.Any] | None, where: str) -> tuple[processes.Selector, ...]:
    if given is None:
        return ()
    selectors = tuple(processes.parse({name: given[name]}, where) for name in _SERVICE if given.get(name))
    if not selectors:
        raise Refused(f"{where} is empty and would mean every process: give at least one of {', '.join(_SERVICE)}.")
    return selectors


def _identifier(number: int) -> int:
    if not 0 <= number <= _MOST:
        raise Refused(f"id: {number} is no identifier: give one that ipcs shows.")
    return number


def _key(word: str) -> int:
    """As the table has it: the key is a signed number there."""
    try:
        key = int(word, 0)
    except ValueError:
        raise Refused(f"key: {word!r} is no number: give it as ipcs shows it, such as '0x0052e2c1'.") from None
    if key == 0:
        raise Refused("key: 0 is no key, every private object has it: name private objects by id.")
    if not -(1 << (_KEY_BITS - 1)) <= key < 1 << _KEY_BITS:
        raise Refused(f"key: {word} has more than {_KEY_BITS} bits: give it as ipcs shows it.")
    return key - (1 << _KEY_BITS) if key > _MOST else key
