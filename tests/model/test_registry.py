"""The registry: workflows by namespace and name, the newest one, and no silent clash."""

import types

import pytest

from asyncflow._model.registry import Registry, current_registry
from asyncflow._model.workflow import RedeclaredWarning, Workflow
from asyncflow.errors import DefinitionError, WorkflowNotFoundError
from tests.core.samples import Nothing


def declare(name: str, namespace: str = "default") -> Workflow:
    with Workflow(name, namespace) as workflow:
        Nothing("build")
    return workflow


def declare_in(module: str, name: str) -> Workflow:
    """Declare a workflow in a module of its own."""
    found = types.ModuleType(module)
    source = (
        "def declare(workflow_class, operator, name):\n"
        "    with workflow_class(name) as workflow:\n"
        "        operator('build')\n"
        "    return workflow\n"
    )
    exec(compile(source, f"{module}.py", "exec"), vars(found))
    workflow = found.declare(Workflow, Nothing, name)
    assert isinstance(workflow, Workflow)
    return workflow


def test_workflows_are_found_by_namespace_and_name() -> None:
    with Registry() as registry:
        here, there = declare("release"), declare("release", "ops")

    assert registry.workflow("release") is here
    assert registry.workflow("release", "ops") is there
    assert registry.find("release", "nowhere") is None
    assert registry.workflows() == (here, there)


def test_an_unknown_workflow_is_refused_with_the_known_ones_of_its_namespace() -> None:
    with Registry() as registry:
        declare("release")
        declare("backup")
        declare("other", "ops")

    with pytest.raises(WorkflowNotFoundError, match="'relaese' in namespace 'default'") as raised:
        registry.workflow("relaese")

    assert "'backup', 'release'" in str(raised.value)
    assert "other" not in str(raised.value)


def test_the_innermost_registry_takes_what_is_declared() -> None:
    outside = current_registry()
    with Registry() as outer:
        with Registry() as inner:
            assert current_registry() is inner
            declare("release")
        assert current_registry() is outer

    assert len(inner.workflows()) == 1
    assert outer.workflows() == ()
    assert current_registry() is outside


def test_a_registry_can_be_opened_again() -> None:
    registry = Registry()
    for name in ("release", "backup"):
        with registry:
            declare(name)

    assert [each.name for each in registry.workflows()] == ["release", "backup"]


def test_outside_any_registry_the_default_one_takes_it() -> None:
    workflow = declare("test_registry.default")
    try:
        assert current_registry().workflow("test_registry.default") is workflow
        assert Registry().workflows() == ()
    finally:
        del current_registry().by_name["default", "test_registry.default"]


def test_the_registry_is_left_when_its_block_raises() -> None:
    outside = current_registry()

    with pytest.raises(KeyError), Registry():
        raise KeyError

    assert current_registry() is outside


def test_a_module_that_declares_a_name_again_replaces_the_workflow_silently() -> None:
    with Registry() as registry:
        declare("release")
        newest = declare("release")

    assert registry.workflows() == (newest,)


def test_another_module_that_declares_a_name_is_warned_of_both_places() -> None:
    with Registry() as registry:
        declare_in("one", "release")
        with pytest.warns(RedeclaredWarning, match=r"'release' .* at one\.py:2, .* at two\.py:2,"):
            newest = declare_in("two", "release")
        declare_in("two", "backup")

    assert registry.workflow("release") is newest


def test_only_a_workflow_whose_block_has_ended_well_can_be_registered() -> None:
    with pytest.raises(DefinitionError, match="workflow 'release' is not declared"):
        Registry().register(Workflow("release"))


def test_a_workflow_can_be_put_into_a_second_registry() -> None:
    with Registry():
        workflow = declare("release")
    other = Registry()

    other.register(workflow)

    assert other.workflow("release") is workflow
