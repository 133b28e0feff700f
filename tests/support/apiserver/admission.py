"""What the server refuses, in its own words: Status objects, Pod Security, validation. Pure."""

from typing import Any

import msgspec

Object = dict[str, Any]


PAGE_GONE = (
    "The provided continue parameter is too old to display a consistent list result. You can start "
    "a new list without the continue parameter, or use the continue token in this response to "
    "retrieve the remainder of the results. Continuing with the provided token results in an "
    "inconsistent list - objects that were created, modified, or deleted between the time the "
    "first chunk was returned and now may show up in the list."
)


class Refused(Exception):
    """Carries the Status."""

    def __init__(self, status: Object) -> None:
        super().__init__(status["message"])
        self.status = status


def status(code: int, reason: str, message: str, details: Object | None = None) -> Object:
    """A failure as the API tells it."""
    body: Object = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason,
        "code": code,
    }
    if details is not None:
        body["details"] = details
    return body


def named(plural: str, name: str, group: str) -> Object:
    """The details of an object: its group where it is not the core."""
    parts = {"name": name, "kind": plural}
    return {"name": name, "group": group, "kind": plural} if group else parts


def qualified(plural: str, group: str) -> str:
    """`leases.coordination.k8s.io`, `pods`."""
    return f"{plural}.{group}" if group else plural


def not_found(plural: str, name: str, group: str) -> Refused:
    """404."""
    text = f'{qualified(plural, group)} "{name}" not found'
    return Refused(status(404, "NotFound", text, named(plural, name, group)))


def exists(plural: str, name: str, group: str) -> Refused:
    """409 of a create."""
    text = f'{qualified(plural, group)} "{name}" already exists'
    return Refused(status(409, "AlreadyExists", text, named(plural, name, group)))


def stale(plural: str, name: str, group: str) -> Refused:
    """409 of a replacement."""
    text = (
        f'Operation cannot be fulfilled on {qualified(plural, group)} "{name}": the object has '
        "been modified; please apply your changes to the latest version and try again"
    )
    return Refused(status(409, "Conflict", text, named(plural, name, group)))


def no_such_uid(plural: str, name: str, group: str, uid: str) -> Refused:
    """409 of a replacement of what was deleted meanwhile: no 404, as one would think."""
    key = f"/registry/{plural}/podbench/{name}"
    text = (
        f'Operation cannot be fulfilled on {qualified(plural, group)} "{name}": StorageError: '
        f"invalid object, Code: 4, Key: {key}, ResourceVersion: 0, AdditionalErrorMsg: "
        f"Precondition failed: UID in precondition: {uid}, UID in object meta: "
    )
    return Refused(status(409, "Conflict", text, named(plural, name, group)))


def version_gone(version: int, oldest: int) -> Object:
    """410 in a watch."""
    return status(410, "Expired", f"too old resource version: {version} ({oldest})")


def page_gone() -> Refused:
    """410 of a list's next page; the token in it would go on with what there is now."""
    body = status(410, "Expired", PAGE_GONE)
    return Refused({**body, "metadata": {"continue": "0"}})


def forbidden(user: str, verb: str, plural: str, group: str, namespace: str) -> Refused:
    """403 of an authorizer."""
    where = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
    text = (
        f'{qualified(plural, group)} is forbidden: User "{user}" cannot {verb} resource "{plural}" '
        f'in API group "{group}" {where}'
    )
    details: Object = {"kind": plural}
    return Refused(
        status(403, "Forbidden", text, {**details, "group": group} if group else details)
    )


def conflicts(found: list[tuple[str, str]]) -> Refused:
    """409 of server-side apply."""
    plural = "conflict" if len(found) == 1 else "conflicts"
    parts = ", ".join(f'conflict with "{manager}": {path}' for manager, path in found)
    causes = [
        {"reason": "FieldManagerConflict", "message": f'conflict with "{manager}"', "field": path}
        for manager, path in found
    ]
    text = f"Apply failed with {len(found)} {plural}: {parts}"
    return Refused(status(409, "Conflict", text, {"causes": causes}))


def validate(body: Object) -> None:
    """Refuses workloads whose selector does not match their pods.

    Raises:
        Refused: 422.
    """
    if body["kind"] not in ("DaemonSet", "Deployment"):
        return
    wanted = body["spec"]["selector"]["matchLabels"]
    labels = body["spec"]["template"]["metadata"].get("labels") or {}
    if all(labels.get(key) == value for key, value in wanted.items()):
        return
    field, name = "spec.template.metadata.labels", body["metadata"]["name"]
    shown = msgspec.json.encode(labels).decode()
    told = f"Invalid value: {shown}: `selector` does not match template `labels`"
    details = {
        **named(body["kind"], name, "apps"),
        "causes": [{"reason": "FieldValueInvalid", "message": told, "field": field}],
    }
    text = f'{body["kind"]}.apps "{name}" is invalid: {field}: {told}'
    raise Refused(status(422, "Invalid", text, details))


def pod_security(level: str, name: str, spec: Object) -> None:
    """Refuses what `restricted` forbids; `privileged` admits everything.

    Raises:
        Refused: 403.
    """
    found = violations(spec) if level == "restricted" else []
    if found:
        text = f'violates PodSecurity "restricted:latest": {", ".join(found)}'
        message = f'pods "{name}" is forbidden: {text}'
        details = {"name": name, "kind": "pods"}
        raise Refused(status(403, "Forbidden", message, details))


def violations(spec: Object) -> list[str]:
    """What a pod does against `restricted`, in the server's words and order."""
    pod = spec.get("securityContext") or {}
    containers = [(each, each.get("securityContext") or {}) for each in spec["containers"]]
    found = []
    if spec.get("hostNetwork"):
        found.append("host namespaces (hostNetwork=true)")
    for each, own in containers:
        who = f'container "{each["name"]}" must set securityContext'
        either = f'pod or container "{each["name"]}" must set securityContext'
        if own.get("allowPrivilegeEscalation") is not False:
            found.append(
                f"allowPrivilegeEscalation != false ({who}.allowPrivilegeEscalation=false)"
            )
        if "ALL" not in (own.get("capabilities") or {}).get("drop", []):
            found.append(f'unrestricted capabilities ({who}.capabilities.drop=["ALL"])')
        if not own.get("runAsNonRoot", pod.get("runAsNonRoot")):
            found.append(f"runAsNonRoot != true ({either}.runAsNonRoot=true)")
        profile = own.get("seccompProfile") or pod.get("seccompProfile") or {}
        if profile.get("type") not in ("RuntimeDefault", "Localhost"):
            wanted = '"RuntimeDefault" or "Localhost"'
            found.append(f"seccompProfile ({either}.seccompProfile.type to {wanted})")
    return found
