"""Versions of engines, as they stand in image tags and documents."""

import re

Version = tuple[int, int, int]

IN_TAG = re.compile(r"(?:^|-)v?(\d+)\.(\d+)(?:\.(\d+))?(?![0-9])")
"""A dotted number at the tag's start or after a dash: v0.9.2, 0.9.2-cu12, 26.07-py3, cpu-1.9."""


def version_in(image: str) -> Version | None:
    """Return the version that an image's tag tells, or None: a digest, `latest`, a build number."""
    last = image.split("@", 1)[0].rsplit("/", 1)[-1]
    _, _, tag = last.partition(":")
    found = IN_TAG.search(tag)
    if found is None:
        return None
    major, minor, patch = (int(part or 0) for part in found.groups())
    return major, minor, patch


def parse(text: str) -> Version:
    """Read `1`, `1.2` or `1.2.3`; what is not given is 0."""
    major, minor, patch = ([int(part) for part in text.split(".")] + [0, 0])[:3]
    return major, minor, patch


def reaches(version: Version | None, since: str | None) -> bool:
    """Tell whether `version` has what came with `since`. An unknown version is new."""
    return since is None or version is None or version >= parse(since)
