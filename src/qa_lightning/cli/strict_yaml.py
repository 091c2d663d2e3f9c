"""YAML as configurations have it: each key once, at a depth that settings have."""

from typing import Any

import yaml


class _StrictLoader(yaml.SafeLoader):
    """Refuse a key that stands twice in one mapping: the last would win, silently."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: dict[str, yaml.Node] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == "tag:yaml.org,2002:merge":
                continue
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    f"the key {key.value!r} stands at line {seen[key.value].start_mark.line + 1}",
                    None,
                    "and again",
                    key.start_mark,
                )
            seen[key.value] = key
        return super().construct_mapping(node, deep=deep)


def load_yaml(text: str) -> Any:
    """Parse YAML, as ``yaml.safe_load`` but for keys that stand twice and endless nesting.

    Raises:
        yaml.YAMLError: the text cannot be read.

    >>> load_yaml("data: {batch_size: 2}")
    {'data': {'batch_size': 2}}
    """
    try:
        return yaml.load(text, Loader=_StrictLoader)
    except RecursionError:
        raise yaml.YAMLError("it is nested too deep") from None
    except ValueError as error:  # a date or a number that Python cannot hold
        raise yaml.YAMLError(str(error)) from None
