"""Validates the manifests against the published schemas, and checks that the validation finds mistakes."""

import copy
import importlib.resources
import json
import sys

import jsonschema
import kubernetes_validate
import yaml

# The oldest and the newest release of Kubernetes whose schemas the manifests must match.
KUBERNETES = ["1.31", "1.37"]

# The schema of the Compose specification.
SCHEMA = importlib.resources.files("check_jsonschema") / "builtin_schemas/vendor/compose-spec.json"
COMPOSE = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))


def compose_faults(document):
    return [error.message for error in COMPOSE.iter_errors(document)]


def kubernetes_faults(document):
    faults = []
    for version in KUBERNETES:
        try:
            kubernetes_validate.validate(document, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            faults.append(f"Kubernetes {version}: {error.message}")
    return faults


def load(path):
    with open(path, encoding="utf-8") as file:
        return [document for document in yaml.safe_load_all(file) if document is not None]


def check(name, faults):
    for fault in faults:
        print(f"{name}: {fault}", file=sys.stderr)
    return not faults


def must_fail(name, faults):
    if not faults:
        print(f"{name}: the validation does not find it", file=sys.stderr)
    return bool(faults)


(compose,) = load("docs/deploy/compose.yaml")
manifests = load("docs/deploy/kubernetes.yaml")
results = [check("docs/deploy/compose.yaml", compose_faults(compose))]
for document in manifests:
    name = f"docs/deploy/kubernetes.yaml, {document['kind']} {document['metadata']['name']}"
    results.append(check(name, kubernetes_faults(document)))

broken = copy.deepcopy(compose)
broken["services"]["first"]["helthcheck"] = {"test": "true"}
results.append(must_fail("a misspelled key of a service", compose_faults(broken)))
broken = copy.deepcopy(compose)
broken["services"]["redis"]["command"] = {"run": "redis-server"}
results.append(must_fail("a command that is a map", compose_faults(broken)))
deployment = next(found for found in manifests if found["kind"] == "Deployment")
broken = copy.deepcopy(deployment)
broken["spec"]["replicaz"] = 2
results.append(must_fail("a misspelled key of a deployment", kubernetes_faults(broken)))
broken = copy.deepcopy(deployment)
broken["spec"]["replicas"] = "two"
results.append(must_fail("a number of replicas that is a text", kubernetes_faults(broken)))

if not all(results):
    sys.exit(1)
print(f"{len(manifests)} resources and {len(compose['services'])} services are valid")
