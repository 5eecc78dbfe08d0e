"""Policies: named rules in versioned YAML that turn what was seen and declared into a risk and an action.

A rule fires if all of its conditions hold. Every rule is tried; the assessment takes the highest risk level
and the strictest action of those that fired, and lists them all.
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from xray_agent_tools.errors import InvalidPolicy, UnknownLabel
from xray_agent_tools.report import Action, ItemStatus, PolicyIdentity, RiskLevel, Severity, Verdict
from xray_agent_tools.taxonomy import taxonomy

RISK_ORDER: tuple[RiskLevel, ...] = ("low", "medium", "undetermined", "high")
"""Risk levels, the mildest first: what cannot be told outweighs what is known to be middling."""

ACTION_ORDER: tuple[Action, ...] = ("CLEAR", "REVIEW", "PHYSICAL_INSPECTION")
"""Actions, the mildest first."""

_MOST_BYTES = 64 * 1024
_MOST_EVENTS = 8000
_DEEPEST = 20
_MOST_RULES = 200
_MOST_PROBLEMS = 12
_PLACEHOLDERS = frozenset({"labels", "names", "count", "issues", "share"})


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DetectedCondition(_Part):
    """Holds for detections at their operating point that fit every field given."""

    labels: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    severities: tuple[Severity, ...] = ()
    declared: bool | None = Field(None, description="Only those that were, or were not, declared.")
    min_confidence: float = Field(0.0, ge=0, le=1)

    @field_validator("labels")
    @classmethod
    def _labels_exist(cls, labels: tuple[str, ...]) -> tuple[str, ...]:
        return _existing(labels)

    @field_validator("groups")
    @classmethod
    def _groups_exist(cls, groups: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := set(groups) - set(taxonomy().groups):
            raise ValueError(f"unknown groups {sorted(unknown)}; known are {sorted(taxonomy().groups)}")
        return groups


class When(_Part):
    """The conditions of a rule; all those given must hold."""

    verdict: tuple[Verdict, ...] = ()
    detected: DetectedCondition | None = None
    item_status: tuple[ItemStatus, ...] = Field((), description="Holds if an item has one of these.")
    no_item_status: tuple[ItemStatus, ...] = Field((), description="Holds if no item has one of these.")
    declaration: Literal["empty", "given"] | None = None
    usable: bool | None = None
    opaque_share_above: float | None = Field(None, ge=0, le=1)
    assessed: tuple[str, ...] = Field((), description="Holds if all were looked for, and validated on real scans.")
    not_assessed: tuple[str, ...] = Field(
        (), description="Holds if one was not looked for, or by simulated scans only."
    )

    @field_validator("assessed", "not_assessed")
    @classmethod
    def _labels_exist(cls, labels: tuple[str, ...]) -> tuple[str, ...]:
        return _existing(labels)

    @model_validator(mode="after")
    def _says_something(self) -> When:
        if not self.model_fields_set:
            raise ValueError("a rule needs at least one condition")
        return self


class Rule(_Part):
    """A named rule. ``text`` may quote {labels}, {names}, {count}, {issues} and {share}."""

    id: str = Field(pattern=r"^[a-z][a-z0-9-]{1,60}$")
    text: str = Field(min_length=1, max_length=400)
    when: When
    risk: RiskLevel
    action: Action

    @field_validator("text")
    @classmethod
    def _placeholders_exist(cls, text: str) -> str:
        used = set(re.findall(r"\{([^{}]*)\}", text))
        if text.count("{") != text.count("}") or used - _PLACEHOLDERS:
            raise ValueError(f"unknown placeholders {sorted(used - _PLACEHOLDERS)}; known are {sorted(_PLACEHOLDERS)}")
        return text

    @model_validator(mode="after")
    def _clear_is_guarded(self) -> Rule:
        when = self.when
        guarded = when.verdict == ("NO_ALARM",) and when.usable is True and when.assessed
        if self.action == "CLEAR" and not guarded:
            raise ValueError(
                "a rule that clears must require `verdict: [NO_ALARM]`, `usable: true` and `assessed: [...]`"
            )
        return self


class Policy(_Part):
    """A policy as loaded, with the hash of its file."""

    name: str = Field(pattern=r"^[a-z][a-z0-9-]{1,60}$")
    version: str = Field(min_length=1, max_length=40)
    title: str = Field(min_length=1, max_length=200)
    description: str = Field(min_length=1, max_length=2000)
    rules: tuple[Rule, ...] = Field(min_length=1, max_length=_MOST_RULES)
    sha256: str

    @model_validator(mode="after")
    def _rules_have_own_names(self) -> Policy:
        names = [rule.id for rule in self.rules]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"rule names occur twice: {twice}")
        return self

    @property
    def identity(self) -> PolicyIdentity:
        """Name, version and hash, as answers quote them."""
        return PolicyIdentity(name=self.name, version=self.version, sha256=self.sha256)


def _existing(labels: tuple[str, ...]) -> tuple[str, ...]:
    try:
        for label in labels:
            taxonomy().item(label)
    except UnknownLabel as error:
        raise ValueError(str(error)) from error
    return labels


def embedded_policies() -> list[str]:
    """Names of the policies that ship with the library."""
    folder = files("xray_agent_tools") / "declaration" / "policies"
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def load_policy(policy: str | Path) -> Policy:
    """Load an embedded policy by name, or one from a YAML file.

    Raises:
        InvalidPolicy: it is missing or breaks the rules for policies.
    """
    if isinstance(policy, str) and policy in embedded_policies():
        return _embedded(policy)
    if not isinstance(policy, str | Path):
        raise InvalidPolicy("a policy is a name or a file", hint=f"embedded are {', '.join(embedded_policies())}")
    try:
        path = Path(policy)
        if not path.is_file():
            raise FileNotFoundError(str(policy)[:200])
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        raise InvalidPolicy(
            f"there is no policy {str(policy)[:200]!r}",
            hint=f"give a YAML file, or one of: {', '.join(embedded_policies())}",
        ) from error
    return parse_policy(content)


@lru_cache
def _embedded(name: str) -> Policy:
    return parse_policy((files("xray_agent_tools") / "declaration" / "policies" / f"{name}.yaml").read_bytes())


def parse_policy(content: bytes) -> Policy:
    """Check and load a policy's YAML.

    Raises:
        InvalidPolicy: it is no YAML, too large, or breaks the rules for policies; the message names the place.
    """
    if len(content) > _MOST_BYTES:
        raise InvalidPolicy("the policy file is too large", hint=f"at most {_MOST_BYTES} bytes")
    try:
        text = content.decode("utf-8")
        values: Any = _load_plain_yaml(text)
    except Exception as error:  # PyYAML's constructors raise whatever an odd tag makes them stumble over
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        raise InvalidPolicy(f"the policy is no YAML: {first_line[:200]}", hint="check it with a YAML linter") from error
    if not isinstance(values, dict):
        raise InvalidPolicy("the policy is no YAML mapping", hint="see the embedded policies for the form")
    try:
        return Policy.model_validate({**values, "sha256": hashlib.sha256(content).hexdigest()})
    except (ValidationError, TypeError) as error:
        raise InvalidPolicy(
            _first_problem(error), hint="see docs/policies.md and the embedded policies for the form"
        ) from error


def _load_plain_yaml(text: str) -> Any:
    """Load YAML of bounded size and depth, without aliases, which could blow a small file up."""
    depth = 0
    for count, event in enumerate(yaml.parse(text, Loader=yaml.SafeLoader)):
        if isinstance(event, yaml.AliasEvent):
            raise ValueError("aliases are not allowed")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if count > _MOST_EVENTS or depth > _DEEPEST:
            raise ValueError("it has too many or too deeply nested values")
    return yaml.safe_load(text)


def _first_problem(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return f"the policy is malformed: {type(error).__name__}"
    return "; ".join(problems_of(error)[:_MOST_PROBLEMS])


def problems_of(error: ValidationError) -> list[str]:
    """Each validation problem as "where: what"."""
    return [
        f"{'.'.join(str(part) for part in problem['loc']) or 'policy'}: {problem['msg'][:200]}"
        for problem in error.errors(include_url=False, include_context=False, include_input=False)
    ]
