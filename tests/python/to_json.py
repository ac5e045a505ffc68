"""Prints a file of YAML documents as a JSON list, or a TOML file as JSON, for tests that look into it."""

import json
import re
import sys
import tomllib

import yaml


class Loader(yaml.SafeLoader):
    """As YAML 1.2: `on` is a word, and dates are text."""


Loader.yaml_implicit_resolvers = {
    first: [(tag, rule) for tag, rule in rules if tag not in ("tag:yaml.org,2002:bool", "tag:yaml.org,2002:timestamp")]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^(true|false)$"), list("tf"))

with open(sys.argv[1], "rb") as file:
    value = tomllib.load(file) if sys.argv[1].endswith(".toml") else list(yaml.load_all(file, Loader))
json.dump(value, sys.stdout)
