# Copyright (c) 2026 the Intermission developers
# SPDX-License-Identifier: MIT
"""Filter ``data_uri``."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any, Callable

from ansible.errors import AnsibleFilterError

DOCUMENTATION = r"""
name: data_uri
short_description: Write an image as a data URI
version_added: 0.1.0
description:
  - Reads a file of the controller, an SVG or PNG of at most 100 kB. What is such a URI already is checked and given as it is.
options:
  _input:
    description: Path of the file, or the URI.
    type: str
    required: true
author:
  - The Intermission developers (@intermission)
"""

EXAMPLES = r"""
- ansible.builtin.debug:
    msg: "{{ '/srv/brand/logo.svg' | intermission.django.data_uri }}"
"""

RETURN = r"""
_value:
  description: The URI.
  type: str
"""

LARGEST = 100_000
URI = re.compile(r"data:image/(png|svg\+xml)[;,].*", re.DOTALL)


def data_uri(image: str) -> str:
    """Write the URI; see the documentation above. Raises AnsibleFilterError."""
    if image.startswith("data:"):
        uri, size = image, len(image)
    else:
        try:
            content = Path(image).read_bytes()
        except OSError as error:
            raise AnsibleFilterError(f"'{image}' cannot be read: {error.strerror}") from None
        size = len(content)
        kind = "png" if content.startswith(b"\x89PNG\r\n\x1a\n") else "svg+xml" if b"<svg" in content else "none"
        uri = f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
    if URI.fullmatch(uri) is None:
        raise AnsibleFilterError(f"'{image[:60]}' is no SVG or PNG image")
    if size > LARGEST:
        raise AnsibleFilterError(
            f"'{image[:60]}' has {size // 1000} kB, and every page would have to carry it: 100 kB is the most"
        )
    return uri


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name them."""
        return {"data_uri": data_uri}
