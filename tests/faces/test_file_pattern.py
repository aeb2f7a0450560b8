"""Globs of file triggers match what a shell's would, and refuse what leads elsewhere."""

import pytest

from asyncflow.triggers.pattern import Pattern


def matches(glob: str, path: str) -> bool:
    pattern = Pattern(glob)
    places = pattern.start
    *folders, name = path.split("/")
    for folder in folders:
        places = pattern.below(places, folder)
    return pattern.takes(places, name)


@pytest.mark.parametrize(
    ("glob", "path"),
    [
        ("*", "a"),
        ("*", "two\nlines \x1b"),
        ("*.csv", "caf\udce9.csv"),
        ("?", "\udce9"),
        ("[ab]*", "b1"),
        ("[!ab]", "c"),
        ("in/*.csv", "in/x.csv"),
        ("*/*", "in/x"),
        ("**", "x"),
        ("**", "a/b/c/x"),
        ("**/*.csv", "x.csv"),
        ("**/*.csv", "a/b/x.csv"),
        ("a/**/z/*", "a/z/x"),
        ("a/**/z/*", "a/z/z/b/z/x"),
        ("**/**/x", "x"),
        ("**/a/**/x", "b/a/c/x"),
        (".*", ".hidden"),
        ("**/.git/*", "a/.git/config"),
        (".*/**/x", ".a/b/x"),
    ],
)
def test_a_path_matches(glob: str, path: str) -> None:
    assert matches(glob, path)


@pytest.mark.parametrize(
    ("glob", "path"),
    [
        ("*", "a/b"),
        ("*.csv", "x.CSV"),
        ("*.csv", "x.csv\n"),
        ("*", ".hidden"),
        ("?hidden", ".hidden"),
        ("[.]hidden", ".hidden"),
        ("in/*.csv", "x.csv"),
        ("in/*.csv", "in/a/x.csv"),
        ("**", ".hidden/x"),
        ("**/*", "a/.x"),
        ("**/x", ".git/x"),
        ("a/**/z/*", "a/b/x"),
        (".*/x", "a/x"),
    ],
)
def test_a_path_does_not_match(glob: str, path: str) -> None:
    assert not matches(glob, path)


@pytest.mark.parametrize("glob", ["", "/etc/*", "../*", "a//b", "a/", "./a", "a/..", "a/./b"])
def test_a_glob_that_leads_elsewhere_is_refused(glob: str) -> None:
    with pytest.raises(ValueError, match="no glob below the folder"):
        Pattern(glob)
