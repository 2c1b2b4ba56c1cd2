# Copyright (c) 2026 the Intermission developers
# SPDX-License-Identifier: MIT
"""Filter ``page_faults``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Callable

from ansible.errors import AnsibleFilterError
from ansible_collections.intermission.django.plugins.filter.data_uri import data_uri

DOCUMENTATION = r"""
name: page_faults
short_description: Say what is wrong with the variables of the maintenance page
version_added: 0.1.0
description:
  - Gives a sentence for each variable of the role P(intermission.django.maintenance_page#role) that no page can be made from, with
    what to set instead.
options:
  _input:
    description:
      - The variables C(colour), C(logo), C(status_url), C(links), C(languages), C(poll_first), C(poll_factor) and C(poll_cap);
        C(logo_file), the logo's path where it was found; C(texts), the texts of each language that was found; C(places), where
        they were looked for; and C(wanted), the names of the texts that a language has.
    type: dict
    required: true
author:
  - The Intermission developers (@intermission)
"""

EXAMPLES = r"""
- ansible.builtin.assert:
    that: __maintenance_page_settings | intermission.django.page_faults | length == 0
"""

RETURN = r"""
_value:
  description: The sentences, none where all is well.
  type: list
  elements: str
"""

LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")
COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
ADDRESS = re.compile(r"(https?://|mailto:|tel:)[^\s]+")
DIRECTIONS = ("ltr", "rtl")


def page_faults(settings: Mapping[str, Any]) -> list[str]:
    """Say what is wrong; see the documentation above."""
    return [*_branding(settings), *_languages(settings), *_polling(settings)]


def _branding(settings: Mapping[str, Any]) -> Iterator[str]:
    if COLOUR.fullmatch(str(settings["colour"])) is None:
        yield f"maintenance_page_colour is '{settings['colour']}'. Write it as #rrggbb, for instance '#0b6e4f'."
    if settings["logo"]:
        try:
            data_uri(settings["logo_file"] or settings["logo"])
        except AnsibleFilterError as error:
            yield (
                f"maintenance_page_logo: {error.message}. Name an SVG or PNG file of at most 100 kB on the controller, for instance "
                "logo.svg beside the inventory."
            )
    if settings["status_url"] and ADDRESS.fullmatch(settings["status_url"]) is None:
        yield (
            f"maintenance_page_status_url is '{settings['status_url']}'. Write a whole address, for instance "
            "https://status.example.com."
        )
    for link in settings["links"]:
        if not link.get("text") or ADDRESS.fullmatch(link.get("url") or "") is None:
            yield (
                f"maintenance_page_links has {dict(link)}. Each link is a text and a whole address, for instance "
                "{text: Call us, url: 'tel:+49301234567'}."
            )


def _languages(settings: Mapping[str, Any]) -> Iterator[str]:
    languages, texts = settings["languages"], settings["texts"]
    if not languages or len(set(languages)) != len(languages):
        yield f"maintenance_page_languages is {list(languages)}. Name each once, the default first, for instance [en, de]."
    for language in languages:
        if LANGUAGE.fullmatch(str(language)) is None:
            yield f"maintenance_page_languages has '{language}'. Write a language tag as in HTML, for instance en or pt-BR."
        elif language not in texts:
            yield (
                f"maintenance_page_languages has '{language}', and there is no {language}.yml in {', '.join(settings['places'])}. "
                "Copy the role's en.yml there and translate it, or leave the language out."
            )
        elif (missing := _missing(texts[language], settings["wanted"])) or texts[language]["dir"] not in DIRECTIONS:
            yield (
                f"maintenance_page_languages has '{language}', whose {language}.yml is without "
                f"{', '.join(missing) or 'dir: ltr or rtl'}. Compare it with the role's en.yml."
            )


def _missing(text: Any, wanted: list[str]) -> list[str]:
    known = text if isinstance(text, Mapping) else {}
    return [key for key in wanted if not isinstance(known.get(key), str) or not known[key].strip()]


def _polling(settings: Mapping[str, Any]) -> Iterator[str]:
    first, factor, cap = (float(settings[f"poll_{name}"]) for name in ("first", "factor", "cap"))
    if not (0 < first <= cap and factor >= 1):
        yield (
            f"maintenance_page_poll_first is {first:g}, maintenance_page_poll_factor {factor:g} and maintenance_page_poll_cap "
            f"{cap:g}. The first is more than 0 seconds, the factor 1 or more, and the cap no less than "
            "the first, for instance 5, 2 and 120."
        )


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name them."""
        return {"page_faults": page_faults}
