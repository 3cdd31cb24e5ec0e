# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""How Sphinx makes the docs site: ours resolve or the build fails; what Ansible's own site has cannot be asked for."""

project = title = html_short_title = "hostcare.remediation"
copyright = "The hostcare.remediation authors"  # noqa: A001

extensions = ["sphinx_antsibull_ext"]
html_theme = "sphinx_ansible_theme"
html_show_sphinx = False
html_use_index = False
html_copy_source = False
display_version = False
pygments_style = "ansible"
highlight_language = "YAML+Jinja"
default_role = "any"

nitpicky = True
nitpick_ignore_regex = [
    ("std:ref", r"(action|callback|filter)_plugins|common_return_values|ansible_configuration_settings"),
    ("std:ref", r"ansible_collections\.(ansible|community)\..*"),
    ("std:envvar", r"ANSIBLE_.*"),
    ("envvar", r"ANSIBLE_.*"),
]
