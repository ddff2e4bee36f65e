"""Data Lifecycle Manager for the emulator: moto 5.2 has none.

Policies are checked against AWS's own model of the API, which comes with botocore: types, lengths, numbers, enumerations
and patterns; and against what the API reference says beyond that. Snapshots are taken when a test says that it is time.
"""

import datetime
import json
import re
import secrets
import urllib.parse

import botocore.session
from botocore.validate import ParamValidator
from moto.ec2.models import ec2_backends
from moto.iam.models import iam_backends
from moto.moto_server.werkzeug_app import DomainDispatcherApplication

# A POST takes the snapshots of every policy, as AWS does at a policy's time; answers with their ids.
TAKE_SNAPSHOTS = "/botstack/take-snapshots"

MODEL = botocore.session.get_session().get_service_model("dlm")
HOURS = (1, 2, 3, 4, 6, 8, 12, 24)
LIMIT = 100
# Of a snapshot, by the policy that took it: AWS marks its own in the same way.
POLICY_TAG = "aws:dlm:lifecycle-policy-id"


class Refused(Exception):
    def __init__(self, message, code="InvalidRequestException", status=400):
        super().__init__(message)
        self.code, self.status = code, status


def check_shape(shape, value, at):
    """Enumerations and patterns, which botocore leaves to the service."""
    if shape.type_name == "structure":
        for name, part in value.items():
            check_shape(shape.members[name], part, f"{at}.{name}")
    elif shape.type_name == "list":
        for index, part in enumerate(value):
            check_shape(shape.member, part, f"{at}[{index}]")
    elif shape.type_name == "string":
        pattern = shape.metadata.get("pattern", "").replace(r"\p{all}", r"\s\S")
        if len(value) > shape.metadata.get("max", len(value)):
            raise Refused(f"{at} is longer than {shape.metadata['max']}: {value}")
        if shape.enum and value not in shape.enum:
            raise Refused(f"{at} should be one of {', '.join(shape.enum)}, got {value}")
        if pattern and not re.fullmatch(pattern, value):
            raise Refused(f"{at} does not match {pattern}: {value}")
    elif shape.type_name == "integer" and value > shape.metadata.get("max", value):
        raise Refused(f"{at} should be at most {shape.metadata['max']}, got {value}")


def check_request(operation, request):
    shape = MODEL.operation_model(operation).input_shape
    unknown = set(request) - set(shape.members)
    report = ParamValidator().validate(request, shape)
    if unknown or report.has_errors():
        raise Refused(report.generate_report() or f"unknown parameters: {', '.join(sorted(unknown))}")
    check_shape(shape, request, operation)


def check_policy(policy, account):
    """https://docs.aws.amazon.com/dlm/latest/APIReference/API_PolicyDetails.html and the pages of its parts."""
    details = policy.get("PolicyDetails", {})
    for name in ("ExecutionRoleArn", "Description", "State", "PolicyDetails"):
        if name not in policy:
            raise Refused(f"{name} is required")
    for name in ("ResourceTypes", "TargetTags", "Schedules"):
        if details.get("PolicyType", "EBS_SNAPSHOT_MANAGEMENT") == "EBS_SNAPSHOT_MANAGEMENT" and not details.get(name):
            raise Refused(f"PolicyDetails.{name} is required for a policy that takes snapshots")
    for schedule in details.get("Schedules", []):
        create, retain = schedule.get("CreateRule", {}), schedule.get("RetainRule", {})
        if ("CronExpression" in create) == ("Interval" in create):
            raise Refused("CreateRule: specify either CronExpression or Interval")
        if "Interval" in create and create["Interval"] not in HOURS:
            raise Refused(f"CreateRule.Interval should be one of {HOURS}, got {create['Interval']}")
        if ("Count" in retain) == ("Interval" in retain):
            raise Refused("RetainRule: specify either Count or Interval")
        if retain.get("Count", 1) < 1:
            raise Refused("RetainRule.Count should be from 1 to 1000")
    role = next((each for each in iam_backends[account]["aws"].roles.values() if each.arn == policy["ExecutionRoleArn"]), None)
    if role is None or "dlm.amazonaws.com" not in json.dumps(role.assume_role_policy_document):
        raise Refused(f"the role {policy['ExecutionRoleArn']} cannot be assumed by dlm.amazonaws.com")


class Manager:
    """The policies of an account in a region."""

    def __init__(self, account, region):
        self.account, self.region, self.policies = account, region, {}

    def find(self, policy_id):
        if policy_id not in self.policies:
            raise Refused(f"there is no policy {policy_id}", "ResourceNotFoundException", 404)
        return self.policies[policy_id]

    def create(self, request):
        check_request("CreateLifecyclePolicy", request)
        check_policy(request, self.account)
        if len(self.policies) >= LIMIT:
            raise Refused("there are 100 policies already", "LimitExceededException", 429)
        policy_id = f"policy-0{secrets.token_hex(8)}"
        now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
        self.policies[policy_id] = {
            **request,
            "PolicyDetails": {"PolicyType": "EBS_SNAPSHOT_MANAGEMENT", **request["PolicyDetails"]},
            "PolicyId": policy_id,
            "PolicyArn": f"arn:aws:dlm:{self.region}:{self.account}:policy/{policy_id}",
            "StatusMessage": request["State"],
            "Tags": request.get("Tags", {}),
            "DateCreated": now,
            "DateModified": now,
        }
        return {"PolicyId": policy_id}

    def update(self, policy_id, request):
        check_request("UpdateLifecyclePolicy", {**request, "PolicyId": policy_id})
        changed = {**self.find(policy_id), **request}
        check_policy(changed, self.account)
        self.policies[policy_id] = changed
        return {}

    def summaries(self):
        names = MODEL.shape_for("LifecyclePolicySummary").members
        return {"Policies": [{name: policy[name] for name in names if name in policy} for policy in self.policies.values()]}

    def tags(self, method, arn, query, request):
        policy = self.find(arn.rpartition("/")[2])
        if method == "POST":
            check_request("TagResource", {"ResourceArn": arn, **request})
            policy["Tags"].update(request["Tags"])
        if method == "DELETE":
            for key in query.get("tagKeys", []):
                policy["Tags"].pop(key, None)
        return {"Tags": policy["Tags"]} if method == "GET" else {}

    def answer(self, method, path, query, request):
        kind, _, name = path.strip("/").partition("/")
        if kind == "tags":
            return self.tags(method, name, query, request)
        if kind == "policies" and not name:
            return self.create(request) if method == "POST" else self.summaries()
        if kind == "policies" and method == "GET":
            return {"Policy": self.find(name)}
        if kind == "policies" and method == "PATCH":
            return self.update(name, request)
        if kind == "policies" and method == "DELETE":
            self.find(name)
            del self.policies[name]
            return {}
        raise Refused(f"no operation {method} {path}", "UnknownOperationException", 404)

    def take_snapshots(self):
        """Of the volumes with one of the policy's tags; what is more than the policy keeps goes, the oldest first."""
        ec2, taken = ec2_backends[self.account][self.region], []
        for policy in self.policies.values():
            targets = {(tag["Key"], tag["Value"]) for tag in policy["PolicyDetails"]["TargetTags"]}
            for volume in list(ec2.volumes.values()):
                tags = {tag["key"]: tag["value"] for tag in volume.get_tags()}
                if policy["State"] != "ENABLED" or not targets & set(tags.items()):
                    continue
                for schedule in policy["PolicyDetails"]["Schedules"]:
                    snapshot = ec2.create_snapshot(volume.id, policy["Description"])
                    copied = tags if schedule.get("CopyTags") else {}
                    added = {tag["Key"]: tag["Value"] for tag in schedule.get("TagsToAdd", [])}
                    snapshot.add_tags({**copied, **added, POLICY_TAG: policy["PolicyId"]})
                    taken.append(snapshot.id)
                    self.forget(ec2, policy, volume, schedule["RetainRule"].get("Count"))
        return {"snapshots": taken}

    def forget(self, ec2, policy, volume, count):
        mine = [
            snapshot
            for snapshot in ec2.snapshots.values()
            if snapshot.volume.id == volume.id and (POLICY_TAG, policy["PolicyId"]) in [(tag["key"], tag["value"]) for tag in snapshot.get_tags()]
        ]
        for snapshot in mine[: -count if count else None]:
            ec2.delete_snapshot(snapshot.id)


def serve(account):
    """Answers what is meant for Data Lifecycle Manager, and leaves everything else to moto."""
    managers = {}
    original = DomainDispatcherApplication.__call__

    def call(self, environ, start_response):
        scope = re.search(r"Credential=\w+/\d+/([\w-]+)/dlm/", environ.get("HTTP_AUTHORIZATION", ""))
        # WSGI decodes a path as Latin-1.
        path = environ["PATH_INFO"].encode("latin-1").decode()
        if scope is None and path != TAKE_SNAPSHOTS:
            return original(self, environ, start_response)
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        status, headers = 200, [("Content-Type", "application/json")]
        try:
            if scope is None:
                parts = [manager.take_snapshots()["snapshots"] for manager in managers.values()]
                result = {"snapshots": sum(parts, [])}
            else:
                manager = managers.setdefault(scope[1], Manager(account, scope[1]))
                query = urllib.parse.parse_qs(environ.get("QUERY_STRING", ""))
                result = manager.answer(environ["REQUEST_METHOD"], path, query, json.loads(body or "{}"))
        except Refused as refused:
            status, result = refused.status, {"Code": refused.code, "Message": str(refused)}
            headers.append(("x-amzn-ErrorType", refused.code))
        start_response(f"{status} {'OK' if status == 200 else 'Refused'}", headers)
        return [json.dumps(result).encode()]

    DomainDispatcherApplication.__call__ = call
