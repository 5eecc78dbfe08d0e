from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from xray_agent_tools.declaration.policy import embedded_policies, load_policy, parse_policy
from xray_agent_tools.errors import InvalidPolicy

RULE: dict[str, Any] = {
    "id": "a-rule",
    "text": "T.",
    "when": {"declaration": "empty"},
    "risk": "low",
    "action": "REVIEW",
}
POLICY: dict[str, Any] = {"name": "mine", "version": "1", "title": "T", "description": "D", "rules": [RULE]}


def text_of(**changes: Any) -> bytes:
    return yaml.safe_dump({**POLICY, **changes}).encode()


def rule_of(**changes: Any) -> bytes:
    return text_of(rules=[{**RULE, **changes}])


def test_the_three_policies_are_there_and_valid() -> None:
    assert embedded_policies() == ["cabin", "customs", "hold"]
    for name in embedded_policies():
        policy = load_policy(name)
        assert policy.name == name
        assert len(policy.sha256) == 64


def test_a_policy_file_loads_with_the_hash_of_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(text_of())
    first = load_policy(path)
    path.write_bytes(text_of(version="2"))
    assert first.identity.sha256 != load_policy(str(path)).identity.sha256


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no YAML mapping"),
        (b"[1, 2]", "no YAML mapping"),
        (b"a: [", "no YAML"),
        (b"\xff\xfe", "no YAML"),
        (b"a: &x 1\nb: *x", "aliases are not allowed"),
        (b"!!python/object/apply:os.system [ls]", "no YAML"),
        (b"a: !!int ''", "no YAML"),
        (b"a: !!bool xx", "no YAML"),
        (b"[" * 60_000, "no YAML"),
        (b"a: [" + b"1," * 20_000 + b"]", "no YAML"),
        (b"x" * 300_000, "too large"),
        (text_of(rules=[]), "rules"),
        (text_of(rules=[RULE, {**RULE, "when": {"declaration": "given"}}]), "occur twice"),
        (text_of(extra=1), "extra"),
        (rule_of(id="No Id"), "rules.0.id"),
        (rule_of(risk="extreme"), "rules.0.risk"),
        (rule_of(action="RELEASE"), "rules.0.action"),
        (rule_of(when={}), "at least one condition"),
        (rule_of(when={"verdict": ["CLEAR"]}), "verdict"),
        (rule_of(when={"detected": {"labels": ["gnu"]}}), "not a label"),
        (rule_of(when={"detected": {"groups": ["guns"]}}), "unknown groups"),
        (rule_of(when={"assessed": ["gnu"]}), "not a label"),
        (rule_of(text="{secret}"), "unknown placeholders"),
        (rule_of(text="{labels.__class__}"), "unknown placeholders"),
        (rule_of(text="{"), "placeholders"),
        (rule_of(action="CLEAR"), "must require"),
        (rule_of(action="CLEAR", when={"verdict": ["NO_ALARM"]}), "must require"),
        (rule_of(action="CLEAR", when={"verdict": ["NO_ALARM", "UNKNOWN"], "usable": True}), "must require"),
        (rule_of(action="CLEAR", when={"verdict": ["NO_ALARM"], "usable": True}), "assessed"),
    ],
)
def test_a_broken_policy_is_refused_with_the_place(content: bytes, message: str) -> None:
    with pytest.raises(InvalidPolicy, match=message):
        parse_policy(content)


def test_a_policy_cannot_state_its_own_hash() -> None:
    assert parse_policy(text_of(sha256="0" * 64)).sha256 != "0" * 64


@pytest.mark.parametrize("path", ["missing.yaml", "/", "/dev/zero", "\x00", "x" * 10_000])
def test_what_is_no_file_is_no_policy(path: str) -> None:
    with pytest.raises(InvalidPolicy):
        load_policy(path)


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_no_policy(content: bytes) -> None:
    with pytest.raises(InvalidPolicy):
        parse_policy(content)


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.fixed_dictionaries({}, optional=dict.fromkeys((*POLICY, "sha256"), plain)))
def test_arbitrary_values_in_the_right_places_are_refused_or_valid(values: dict[str, Any]) -> None:
    try:
        parse_policy(yaml.safe_dump({**POLICY, **values}).encode())
    except InvalidPolicy as error:
        assert error.hint
