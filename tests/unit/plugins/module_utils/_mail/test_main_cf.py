# Copyright (c) 2026 The hostcare.remediation authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import os
import typing as t
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.hostcare.remediation.plugins.module_utils._kernel.errors import Refused
from ansible_collections.hostcare.remediation.plugins.module_utils._mail import main_cf


@pytest.mark.parametrize(
    "text, expected",
    [
        ("", {}),
        ("# a = b\n  # c = d\n\n", {}),
        ("a = b", {"a": "b"}),
        ("a=b\n", {"a": "b"}),
        ("a =\n", {"a": ""}),
        ("  a = b\n", {"a": "b"}),  # a line that goes on, with none before it
        ("a = b\n c\n\td\n", {"a": "b c d"}),
        ("a = b\n# no\n c\n", {"a": "b c"}),
        ("a = b\n   # no\n\n c\n", {"a": "b c"}),
        ("a =\n  b\n", {"a": "b"}),
        ("a = b\na = c\n", {"a": "c"}),
        ("a = b # no comment\n", {"a": "b # no comment"}),
        ("a = b = c\n", {"a": "b = c"}),
        ("a = b\r\nc = d\r\n", {"a": "b", "c": "d"}),
        ("no equals sign\na = b\n", {"a": "b"}),
        ("a = \udcff\n", {"a": "\udcff"}),
    ],
)
def test_parameters(text: str, expected: dict[str, str]) -> None:
    assert main_cf.parameters(text) == expected


KNOWN = {"one": "1", "empty": "", "two": "$one$one", "loop": "$pool", "pool": "$loop"}


@pytest.mark.parametrize(
    "value, expected",
    [
        ("plain", "plain"),
        ("$one", "1"),
        ("${one}x$(one)", "1x1"),
        ("$one/$two", "1/11"),
        ("$$one", "$one"),
        ("${one?yes}${one:no}", "yes"),
        ("${empty?yes}${empty:no}", "no"),
        ("${empty:$two}", "11"),
        ("${empty:{no}}", None),  # braces within braces: postconf knows
        ("${{a} == {b} ? {c} : {d}}", None),
        ("$mail_version", None),
        ("${one", None),
        ("a$", None),
        ("$loop", None),
    ],
)
def test_expand(value: str, expected: str | None) -> None:
    if expected is None:
        with pytest.raises(LookupError):
            main_cf.expand(value, KNOWN)
    else:
        assert main_cf.expand(value, KNOWN) == expected


@given(st.text(alphabet="${}():?ab_ ", max_size=30))
def test_whatever_a_value_is_it_expands_or_is_refused(value: str) -> None:
    with contextlib.suppress(LookupError):
        assert isinstance(main_cf.expand(value, {"a": "x", "b": ""}), str)


@pytest.mark.parametrize(
    "text, expected",
    [
        ("", ""),
        ("pickup    unix  n       -       y       60      1       pickup\n", "unix"),
        ("#pickup unix n - y 60 1 pickup\npickup fifo n - - 60 1 pickup\n  -o x=y\n", "fifo"),
        ("smtp unix - - y - - smtp\n  -o pickup=no\n", ""),
        ("pickup\n", ""),
    ],
)
def test_type_of_pickup(text: str, expected: str) -> None:
    assert main_cf.pickup_type(text) == expected


@pytest.fixture
def etc(tmp_path: Path) -> t.Callable[..., str]:
    def write(main: str | None = None, name: str = "postfix", **files: str) -> str:
        directory = tmp_path / name
        directory.mkdir(exist_ok=True)
        if main is not None:
            (directory / "main.cf").write_text(main)
        for file, text in files.items():
            (directory / file.replace("_", ".")).write_text(text)
        return str(directory)

    return write


def test_without_a_main_cf_the_defaults_count(etc: t.Callable[..., str]) -> None:
    found = main_cf.settings(etc())
    assert (found.queue_directory, found.mail_owner, found.setgid_group) == (
        "/var/spool/postfix",
        "postfix",
        "postdrop",
    )
    assert (found.missing, found.pickup, found.instance) == (True, "", "-")


def test_what_is_set_counts(etc: t.Callable[..., str]) -> None:
    directory = etc(
        "spool = /srv\nqueue_directory = $spool/queue/\nmail_owner = mail\n",
        master_cf="pickup fifo n - n 60 1 pickup\n",
    )
    found = main_cf.settings(directory)
    assert (found.queue_directory, found.mail_owner, found.setgid_group) == ("/srv/queue", "mail", "postdrop")
    assert (found.missing, found.pickup) == (False, "fifo")
    assert main_cf.settings(directory, queue_directory="/other").queue_directory == "/other"


def test_instances(etc: t.Callable[..., str]) -> None:
    out = etc("multi_instance_name = postfix-out\nqueue_directory = /q/out\n", "out")
    odd = etc("multi_instance_name = odd\nqueue_directory = $nobody_knows\n", "odd")
    main = etc(f"mail_owner = mail\nmulti_instance_directories = {out}, {odd} /nowhere\nmulti_instance_name = $empty\n"
               "empty =\n")  # fmt: skip
    found = main_cf.settings(main)
    assert found.instances == (
        main_cf.Instance("-", main, "/var/spool/postfix"),
        main_cf.Instance("postfix-out", out, "/q/out"),
        main_cf.Instance("odd", odd, None),
    )
    chosen = main_cf.settings(main, "postfix-out")
    # Who owns the mail is said by the primary instance alone.
    assert (chosen.instance, chosen.queue_directory, chosen.mail_owner) == ("postfix-out", "/q/out", "mail")
    assert main_cf.settings(out).queue_directory == "/q/out"
    with pytest.raises(Refused, match="knows of no instance 'other'"):
        main_cf.settings(main, "other")


@pytest.mark.parametrize(
    "main, reason",
    [
        ("queue_directory = $config_name/x\n", r"uses \$config_name"),
        ("queue_directory = spool\n", "not the absolute path"),
        ("queue_directory = /\n", "not the absolute path"),
        ("mail_owner = ${x:{y}}\n", "which only postconf can tell"),
    ],
)
def test_refused(etc: t.Callable[..., str], main: str, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        main_cf.settings(etc(main))


def test_a_main_cf_that_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "main.cf")
    with pytest.raises(Refused, match="no file that Postfix would read"):
        main_cf.settings(str(tmp_path))


@settings(max_examples=50)
@given(st.binary(max_size=200))
def test_whatever_main_cf_holds_it_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> None:
    directory = tmp_path_factory.mktemp("etc")
    (directory / "main.cf").write_bytes(b"queue_directory = " + raw)
    with contextlib.suppress(Refused):
        assert main_cf.settings(str(directory)).queue_directory.startswith("/")
