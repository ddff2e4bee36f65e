"""Starts moto, the AWS emulator, for the end-to-end test: emulator.py HOST PORT REGION.

What is changed of moto, so that the stack can stay as it is: two things about policies, which shall mean here what
they mean in AWS, functions, which run, one machine image, images of snapshots, IPv6 addresses, and a request that is
sent twice; and, in once.py and dlm.py, requests whose answer was late, and the service that takes snapshots.
"""

import datetime
import io
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import threading
import zipfile

import moto.server
from moto.awslambda_simple.models import LambdaSimpleBackend
from moto.core.authorization import ActionAuthenticatorMixin
from moto.core.config import default_user_config
from moto.core.exceptions import JsonRESTError
from moto.ec2.models import ec2_backends
from moto.ec2.models.elastic_network_interfaces import NetworkInterface
from moto.ec2.models.subnets import Subnet
from moto.ec2.models.vpcs import VPCBackend
from moto.ec2.responses.amis import AmisResponse
from moto.iam.access_control import AccessDeniedError, IAMPolicyStatement, PermissionResult
from moto.secretsmanager.models import secretsmanager_backends
from moto.ssm.models import Parameter, ssm_backends
from moto.sts.models import sts_backends

import dlm
from once import once

# --- Conditions ------------------------------------------------------------------------------------------------------
# moto 5.2 applies a statement whatever its Condition says, unless the operator is StringEquals; and where it does
# judge a condition and finds that it does not hold, it answers "denied" instead of "this statement says nothing".
# So the bucket policy that denies access without TLS would deny all access. The policy is right and stays as it is
# in production; here the conditions that the stack uses are judged the way AWS does. The emulator stands where
# AWS's TLS endpoints stand, so a request counts as one over TLS.
REQUEST_CONTEXT = {"aws:SecureTransport": ["true"]}
# And what a change of records in Route 53 asks for, of the request that is being judged.
of_this_request = threading.local()

original_is_action_permitted = IAMPolicyStatement.is_action_permitted


JUDGED = {"Bool", "ForAllValues:StringEquals"}


def condition_holds(condition):
    context = {**REQUEST_CONTEXT, **getattr(of_this_request, "context", {})}
    for expectations in condition.values():
        for key, expected in expectations.items():
            expected = expected if isinstance(expected, list) else [expected]
            if not set(context.get(key, [])) <= {str(value).lower() for value in expected}:
                return False
    return True


def records_context(body):
    """Route 53's names for what is to be changed, in lower case and without the last dot."""
    text = body.decode(errors="replace")
    names = [name.lower().rstrip(".") for name in re.findall("<Name>(.*?)</Name>", text)]
    types = [kind.lower() for kind in re.findall("<Type>(.*?)</Type>", text)]
    return {
        "route53:ChangeResourceRecordSetsNormalizedRecordNames": names,
        "route53:ChangeResourceRecordSetsRecordTypes": types,
    }


def is_action_permitted(self, *args, **kwargs):
    condition = self._statement.get("Condition")
    if condition and set(condition) <= JUDGED:
        if not condition_holds(condition):
            return PermissionResult.NEUTRAL
        self = IAMPolicyStatement({key: value for key, value in self._statement.items() if key != "Condition"})
    return original_is_action_permitted(self, *args, **kwargs)


# --- The role of the machine -----------------------------------------------------------------------------------------
# moto enforces IAM for everybody or for nobody. Here it is for the machine's role alone: whoever comes with the
# credentials of an assumed role is held to that role's policies, and everybody else is the account's administrator
# (the person who deploys). Signatures are not checked: they are the SDKs' business, not this project's.
SAME_PERMISSION = {"HeadObject": "GetObject", "ListObjects": "ListBucket", "ListObjectsV2": "ListBucket"}


def is_assumed_role(account, access_key):
    return any(
        role.access_key_id == access_key for backend in sts_backends[account].values() for role in backend.assumed_roles
    )


def secret_arn(response, resource):
    """moto checks every action on `*`; a policy for one secret needs the secret's name."""
    secret_id = json.loads(response.body or "{}").get("SecretId")
    if not secret_id:
        return resource
    backend = secretsmanager_backends[response.current_account][response.region]
    secret = backend.secrets.get(secret_id)
    return secret.arn if secret else secret_id


def authenticate_and_authorize_action(self, iam_request_cls, resource="*"):
    authorization = self.headers.get("Authorization", "")
    access_key = authorization.partition("Credential=")[2].partition("/")[0]
    if not is_assumed_role(self.current_account, access_key):
        return
    action = self._get_action()
    request = iam_request_cls(
        account_id=self.current_account,
        method=self.method,
        path="/",
        data=self.data,
        body=self.raw_body,
        headers=self.headers,
        action=SAME_PERMISSION.get(action, action),
    )
    if request._service == "secretsmanager":
        resource = secret_arn(self, resource)
    if request._service == "route53":
        # .../2013-04-01/hostedzone/ID/rrset, .../2013-04-01/change/ID
        resource = "arn:aws:route53:::" + "/".join(self.path.split("/")[2:4])
        of_this_request.context = records_context(self.raw_body or b"")
    try:
        request.check_action_permitted(resource)
    except AccessDeniedError as denied:
        # moto answers in XML here, whatever protocol the service speaks; SDKs of a JSON service cannot read that.
        if request._service == "route53":
            raise
        raise JsonRESTError("AccessDeniedException", f"{denied.message} on resource: {resource}") from denied


IAMPolicyStatement.is_action_permitted = is_action_permitted
ActionAuthenticatorMixin._authenticate_and_authorize_action = authenticate_and_authorize_action


# --- Functions -------------------------------------------------------------------------------------------------------
# moto runs a function's code in Docker, or not at all. Here it is run by the Node of this machine, with the credentials
# of the function's own role, which is held to its policies like the machine's. The SDK, which Lambda brings, is the
# checkout's.
SDK = pathlib.Path(__file__).parents[3] / "node_modules"
CALL = """require('./index.js').handler(JSON.parse(process.env.EVENT)).then(
  (result) => console.log(JSON.stringify(result ?? null)), (error) => { console.error(error); process.exit(1) })"""


def run_function(self, function_name, qualifier, body, headers, response_headers):
    function = self.get_function(function_name, qualifier)
    role = sts_backends[self.account_id][function.partition].assume_role(
        region_name=self.region_name, role_session_name=function_name, role_arn=function.role, policy=None, duration=900, external_id=None
    )
    with tempfile.TemporaryDirectory() as folder:
        zipfile.ZipFile(io.BytesIO(function.code_bytes)).extractall(folder)
        done = subprocess.run(
            ["node", "-e", CALL],
            cwd=folder,
            env={
                "PATH": os.environ["PATH"],
                "NODE_PATH": str(SDK),
                "EVENT": body or "{}",
                "AWS_ENDPOINT_URL": f"http://{sys.argv[1]}:{sys.argv[2]}",
                "AWS_REGION": self.region_name,
                "AWS_ACCESS_KEY_ID": role.access_key_id,
                "AWS_SECRET_ACCESS_KEY": role.secret_access_key,
                "AWS_SESSION_TOKEN": role.session_token,
                "AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED": "true",
                **function.environment_vars,
            },
            capture_output=True,
            timeout=function.timeout,
        )
    print(f"function {function.function_name}: status {done.returncode} {done.stderr.decode()}", flush=True)
    if done.returncode != 0:
        response_headers["x-amz-function-error"] = "Unhandled"
    return done.stdout


default_user_config["lambda"]["use_docker"] = False
LambdaSimpleBackend.invoke = run_function


# --- IPv6 ------------------------------------------------------------------------------------------------------------
# moto 5.2 writes the state of a subnet's range as the text of a Python dictionary, for which Terraform waits in vain;
# and it gives a machine no address on creation, whatever the subnet says.
def ipv6_ranges(subnet):
    return [
        {
            "ipv6CidrBlock": association["ipv6CidrBlock"],
            "associationId": association["associationId"],
            "ipv6CidrBlockState": {"state": association["ipv6CidrBlockState"]["State"]},
        }
        for association in subnet.ipv6_cidr_block_associations.values()
        if association["ipv6CidrBlockState"]["State"] == "associated"
    ]


original_interface = NetworkInterface.__init__


def interface_with_address(self, ec2_backend, subnet, *args, **kwargs):
    subnet = ec2_backend.get_subnet(subnet) if isinstance(subnet, str) else subnet
    if subnet.assign_ipv6_address_on_creation and subnet.ipv6_cidr_block_associations:
        kwargs["ipv6_address_count"] = kwargs.get("ipv6_address_count") or 1
    original_interface(self, ec2_backend, subnet, *args, **kwargs)


Subnet.ipv6_cidr_block_association_set = property(ipv6_ranges)
NetworkInterface.__init__ = interface_with_address


# --- A request that is sent twice --------------------------------------------------------------------------------------
# What once.py does for the SDK's own tries, for tries that the provider makes: with the same client token, AWS answers
# with what was made the first time. moto makes a second endpoint, of which nobody knows and which nobody destroys.
original_create_vpc_endpoint = VPCBackend.create_vpc_endpoint


def create_vpc_endpoint_once(self, *args, client_token=None, **kwargs):
    for endpoint in self.vpc_end_points.values():
        if client_token and endpoint.client_token == client_token:
            return endpoint
    return original_create_vpc_endpoint(self, *args, client_token=client_token, **kwargs)


VPCBackend.create_vpc_endpoint = create_vpc_endpoint_once


# --- An image of a snapshot --------------------------------------------------------------------------------------------
# moto gives every image that is registered a made-up snapshot of its own, whatever it is made of.
original_register_image = AmisResponse.register_image


def register_image_of_snapshot(self):
    result = original_register_image(self)
    (root,) = [each["Ebs"] for each in self._get_param("BlockDeviceMappings", []) if each["DeviceName"] == self._get_param("RootDeviceName")]
    image = self.ec2_backend.amis[result.result["ImageId"]]
    del self.ec2_backend.snapshots[image.ebs_snapshot.id]
    image.ebs_snapshot = self.ec2_backend.get_snapshot(root["SnapshotId"])
    image.root_device_name, image.root_device_type = self._get_param("RootDeviceName"), "ebs"
    image.architecture = self._get_param("Architecture")
    image.virtualization_type = self._get_param("VirtualizationType")
    return result


AmisResponse.register_image = register_image_of_snapshot


# --- The machine image -----------------------------------------------------------------------------------------------
# The Debian project publishes the ids of its images as public parameters, and the stack asks for the newest one. moto
# knows neither parameter nor image; with both, the stack takes here the way that it takes in AWS.
ACCOUNT = "123456789012"
DEBIAN_PARAMETER = "/aws/service/debian/release/12/latest/amd64"


def publish_debian_image(region):
    image = ec2_backends[ACCOUNT][region].register_image("debian-12-amd64", "Debian 12 (the box boots its own)")
    image.architecture = "x86_64"
    image.root_device_type = "ebs"
    image.root_device_name = "/dev/xvda"
    ssm_backends[ACCOUNT][region]._parameters[DEBIAN_PARAMETER].append(
        Parameter(
            account_id=ACCOUNT,
            name=DEBIAN_PARAMETER,
            value=image.id,
            parameter_type="String",
            description=None,
            allowed_pattern=None,
            keyid=None,
            last_modified_date=datetime.datetime.now(),
            version=1,
            data_type="text",
        )
    )


if __name__ == "__main__":
    host, port, region = sys.argv[1:]
    publish_debian_image(region)
    dlm.serve(ACCOUNT)
    application = moto.server.DomainDispatcherApplication
    moto.server.DomainDispatcherApplication = lambda *arguments: once(application(*arguments))
    moto.server.main(["-H", host, "-p", port])
