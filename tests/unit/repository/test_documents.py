"""Documents name files, links, commands and terms that exist; configuration files parse."""

import ast
import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from microdemucs.paths import ROOT

FILES = frozenset(
    subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
)
FOLDERS = frozenset(str(parent) for file in FILES for parent in Path(file).parents)
DOCUMENTS = sorted(file for file in FILES if file.endswith(".md") and (ROOT / file).exists())
MAKEFILE = (ROOT / "Makefile").read_text()


def read(document: str) -> str:
    return (ROOT / document).read_text()


def without_code(text: str) -> str:
    return re.sub(r"```.*?```", "", text, flags=re.DOTALL)


def paths_in(document: str) -> set[str]:
    """Words of a document, in code or prose, that begin with a folder of the repository."""
    top = sorted({file.split("/", 1)[0] for file in FILES if "/" in file}, key=len, reverse=True)
    folders = "|".join(map(re.escape, top))
    found = re.findall(rf"(?<![\w./<>-])(?:{folders})/[\w./-]*\w", read(document))
    return set(found)


def slugs(document: str) -> set[str]:
    """The anchors that GitHub makes of a document's headings."""
    headings = re.findall(r"^#+ +(.+)$", without_code(read(document)), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", heading.strip().lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_relative_links_exist(document: str) -> None:
    missing = []
    for link in re.findall(r"\]\(([^)\s]+)\)", without_code(read(document))):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / document).parent / path if path else ROOT / document
        if not target.exists() or (
            anchor and anchor not in slugs(str(target.resolve().relative_to(ROOT.resolve())))
        ):
            missing.append(link)
    assert missing == []


@pytest.mark.parametrize(
    "document", [name for name in DOCUMENTS if name != "CHANGELOG.md" and "training" not in name]
)
def test_paths_exist(document: str) -> None:
    made_at_run_time = re.compile(r"models/(htdemucs|htdemucs_ft|my\w+|<\w+>)\b.*")
    missing = {
        path
        for path in paths_in(document)
        if path not in FILES and path not in FOLDERS and not made_at_run_time.fullmatch(path)
    }
    assert missing == set()


@pytest.mark.parametrize("document", DOCUMENTS)
def test_make_targets_exist(document: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
    code = re.findall(r"```(?:sh|console)?\n(.*?)```|`([^`\n]+)`", read(document), re.DOTALL)
    text = "\n".join(block or span for block, span in code)
    named = set(re.findall(r"^(?:\$ )?make ([a-z][a-z-]*)", text, re.MULTILINE))
    assert named - targets == set()


def defined_names(file: str) -> set[str]:
    """Functions, classes and constants of a module, methods as Class.method."""
    names: set[str] = set()
    for node in ast.parse(read(file)).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        if isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        if isinstance(node, ast.ClassDef):
            methods = (ast.FunctionDef, ast.AsyncFunctionDef)
            names |= {f"{node.name}.{item.name}" for item in node.body if isinstance(item, methods)}
    return names


ANSWERS = re.findall(r"`([\w/-]+\.py)` \(`([\w.]+)`\)", read("ARCHITECTURE.md"))


@pytest.mark.parametrize(("file", "name"), ANSWERS)
def test_architecture_names_functions_that_exist(file: str, name: str) -> None:
    assert name in defined_names(file)


def test_every_question_of_architecture_is_answered_with_a_function() -> None:
    table = read("ARCHITECTURE.md").partition("## Where do I find")[2]
    rows = re.findall(r"^\| (.+\?) \| (.+) \|$", table, re.MULTILINE)
    assert len(rows) >= 10
    unanswered = [q for q, answer in rows if not re.search(r"\.py` \(`[\w.]+`\)", answer)]
    assert unanswered == []


def test_the_readme_is_short() -> None:
    assert len(read("README.md").splitlines()) < 150


def glossary() -> list[tuple[str, str, str]]:
    """(term, meaning, linked file) of each row."""
    rows = re.findall(
        r"^\| \*\*(.+?)\*\* \| (.+?) \| \[.+?\]\((.+?)\) \|$", read("docs/glossary.md"), re.M
    )
    return [(term, meaning, file) for term, meaning, file in rows]


def test_every_row_of_the_glossary_has_a_term_a_meaning_and_a_file() -> None:
    lines = [line for line in read("docs/glossary.md").splitlines() if line.startswith("| **")]
    assert len(glossary()) == len(lines) >= 25


def test_the_glossary_has_each_term_once() -> None:
    terms = [term for term, _, _ in glossary()]
    assert len(set(terms)) == len(terms)


@pytest.mark.parametrize(("term", "file"), [(term, file) for term, _, file in glossary()])
def test_a_term_is_found_in_its_file(term: str, file: str) -> None:
    assert (ROOT / "docs" / file).is_file(), f"{term}: {file} does not exist"


@pytest.mark.parametrize("file", sorted(file for file in FILES if file.endswith((".yml", ".yaml"))))
def test_yaml_parses(file: str) -> None:
    assert list(yaml.safe_load_all((ROOT / file).read_text()))


@pytest.mark.parametrize(
    "file", [".devcontainer/devcontainer.json", "functions/upload/openapi.json"]
)
def test_json_parses(file: str) -> None:
    assert json.loads((ROOT / file).read_text())


def test_the_dev_container_runs_a_command_that_exists() -> None:
    container = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text())
    assert container["postCreateCommand"] == "make setup-test"
    assert "\nsetup-test:" in MAKEFILE


def test_every_hook_before_a_commit_is_local() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    assert [repository["repo"] for repository in config["repos"]] == ["local"]


def test_the_programs_of_the_hooks_are_in_the_lock() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    entries = " ".join(hook["entry"] for hook in config["repos"][0]["hooks"])
    programs = set(re.findall(r"\.venv/bin/(\w+)", entries)) - {"python"}
    locked = set(re.findall(r"^([a-z-]+)==", (ROOT / "requirements/test.txt").read_text(), re.M))
    assert programs <= locked


def test_the_workflow_runs_the_script_that_anybody_can_run() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    assert "bash .ci/run" in [step.get("run") for step in steps]
    assert (ROOT / ".ci/run").is_file()


def test_dependencies_of_each_kind_are_watched() -> None:
    config = yaml.safe_load((ROOT / ".github/dependabot.yml").read_text())
    assert {update["package-ecosystem"] for update in config["updates"]} == {
        "pip",
        "github-actions",
        "docker",
    }


@pytest.mark.parametrize("name", ["bug", "feature"])
def test_an_issue_form_has_what_github_requires(name: str) -> None:
    form = yaml.safe_load((ROOT / f".github/ISSUE_TEMPLATE/{name}.yml").read_text())
    assert {"name", "description", "body"} <= form.keys()
    assert [field for field in form["body"] if field["type"] != "markdown"]


def test_the_changelog_has_the_version_of_the_project() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    headings = re.findall(r"^## (.+)$", read("CHANGELOG.md"), re.MULTILINE)
    assert headings[0] == "Unreleased"
    assert headings[1].startswith(f"{version} - ")
