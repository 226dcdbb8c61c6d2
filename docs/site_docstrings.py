"""Docstrings as the site shows them: a role such as :func:`name` is a link where its object has a page."""

import re

import griffe

ROLE = re.compile(r":(?:attr|class|data|exc|func|meth|mod|obj):`~?([\w.]+)`")
LINK = '<autoref identifier="{}" optional><code>{}</code></autoref>'


class Linked(griffe.Extension):
    """Changes the docstring of each object before anybody parses it."""

    def on_instance(self, *, obj: griffe.Object, **_: object) -> None:
        """Turn roles to references, which mkdocs-autorefs resolves or leaves as code."""
        if obj.docstring is not None:
            obj.docstring.value = ROLE.sub(
                lambda role: LINK.format(role[1], role[1].rpartition(".")[2]), obj.docstring.value
            )
