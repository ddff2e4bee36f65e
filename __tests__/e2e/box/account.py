"""Looks into the emulated AWS account with boto3, which every moto installation has.

  account.py wait-instance NAME      the instance of the deployment with this name, as soon as there is one
  account.py role-credentials ROLE   what the metadata service gives an instance with this role
  account.py inventory               everything that exists, one line each, sorted
  account.py create-zone NAME        makes a hosted zone
  account.py delete-zone ID          and deletes it: with records of anybody else's in it that fails

Each prints JSON. Endpoint, region and credentials come from the environment.
"""

import json
import sys
import time

import boto3


def ec2():
    return boto3.client("ec2")


def wait_instance(name):
    first_seen = None
    filters = [{"Name": "tag:Name", "Values": [name]}]
    while True:
        for reservation in ec2().describe_instances(Filters=filters)["Reservations"]:
            for instance in reservation["Instances"]:
                if instance["State"]["Name"] not in ("pending", "running"):
                    continue
                first_seen = first_seen or time.monotonic()
                # moto gives an instance its profile a moment after it has made it.
                if "IamInstanceProfile" in instance or time.monotonic() > first_seen + 60:
                    return describe(instance)
        time.sleep(0.3)


def describe(instance):
    user_data = ec2().describe_instance_attribute(InstanceId=instance["InstanceId"], Attribute="userData")
    profile = instance.get("IamInstanceProfile", {}).get("Arn")
    role = None
    if profile:
        found = boto3.client("iam").get_instance_profile(InstanceProfileName=profile.rpartition("/")[2])
        role = found["InstanceProfile"]["Roles"][0]["RoleName"]
    groups = ec2().describe_security_groups(GroupIds=[group["GroupId"] for group in instance["SecurityGroups"]])
    return {
        "instanceId": instance["InstanceId"],
        "imageId": instance["ImageId"],
        "instanceType": instance["InstanceType"],
        "availabilityZone": instance["Placement"]["AvailabilityZone"],
        "vpcId": instance["VpcId"],
        "subnetId": instance["SubnetId"],
        "profileArn": profile,
        "roleName": role,
        "userData": user_data["UserData"].get("Value", ""),
        "httpTokens": instance.get("MetadataOptions", {}).get("HttpTokens"),
        "ingress": [
            {
                "protocol": permission["IpProtocol"],
                "fromPort": permission.get("FromPort", 0),
                "toPort": permission.get("ToPort", 65535),
                "cidr": ip_range["CidrIp"],
            }
            for group in groups["SecurityGroups"]
            for permission in group["IpPermissions"]
            for ip_range in permission["IpRanges"]
        ],
    }


def role_credentials(role):
    arn = boto3.client("iam").get_role(RoleName=role)["Role"]["Arn"]
    given = boto3.client("sts").assume_role(RoleArn=arn, RoleSessionName="instance")["Credentials"]
    return {
        "Code": "Success",
        "Type": "AWS-HMAC",
        "LastUpdated": "2026-01-01T00:00:00Z",
        "AccessKeyId": given["AccessKeyId"],
        "SecretAccessKey": given["SecretAccessKey"],
        "Token": given["SessionToken"],
        "Expiration": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 21600)),
    }


def inventory():
    """What could be left on a bill or in the way of the next deploy. A new account has a default VPC: it counts."""

    def listing(service, operation, key, name, **arguments):
        client = boto3.client(service)
        pages = (
            client.get_paginator(operation).paginate(**arguments)
            if client.can_paginate(operation)
            else [getattr(client, operation)(**arguments)]
        )
        return [f"{service} {key}: {name(item)}" for page in pages for item in page.get(key, [])]

    by = lambda key: lambda item: item[key]
    lines = []
    for reservation in ec2().describe_instances()["Reservations"]:
        for instance in reservation["Instances"]:
            # AWS, too, shows a terminated instance for an hour; it costs nothing.
            if instance["State"]["Name"] != "terminated":
                lines.append(f"ec2 Instances: {instance['InstanceId']} ({instance['State']['Name']})")
    for operation, key, identifier in [
        ("describe_volumes", "Volumes", "VolumeId"),
        ("describe_addresses", "Addresses", "AllocationId"),
        ("describe_security_groups", "SecurityGroups", "GroupId"),
        ("describe_vpcs", "Vpcs", "VpcId"),
        ("describe_subnets", "Subnets", "SubnetId"),
        ("describe_route_tables", "RouteTables", "RouteTableId"),
        ("describe_internet_gateways", "InternetGateways", "InternetGatewayId"),
        ("describe_nat_gateways", "NatGateways", "NatGatewayId"),
        ("describe_key_pairs", "KeyPairs", "KeyPairId"),
        ("describe_launch_templates", "LaunchTemplates", "LaunchTemplateId"),
    ]:
        lines += listing("ec2", operation, key, by(identifier))
    # AWS, too, lists a deleted endpoint for a while.
    endpoints = ec2().describe_vpc_endpoints()["VpcEndpoints"]
    lines += [f"ec2 VpcEndpoints: {each['VpcEndpointId']}" for each in endpoints if each["State"] != "deleted"]
    # In AWS a subnet cannot go while an interface is in it. moto lets it go, and forgets the interface of the
    # terminated instance there.
    subnets = {subnet["SubnetId"] for subnet in ec2().describe_subnets()["Subnets"]}
    for interface in ec2().describe_network_interfaces()["NetworkInterfaces"]:
        if interface["SubnetId"] in subnets:
            lines.append(f"ec2 NetworkInterfaces: {interface['NetworkInterfaceId']}")
    # AWS makes keys of its own on first use (for the encrypted disk, say): free, and nobody can delete them.
    aliases = boto3.client("kms").list_aliases()["Aliases"]
    own = {alias.get("TargetKeyId") for alias in aliases if alias["AliasName"].startswith("alias/aws/")}
    for key in boto3.client("kms").list_keys()["Keys"]:
        if key["KeyId"] not in own:
            lines.append(f"kms Keys: {key['KeyId']}")
    lines += listing("ec2", "describe_snapshots", "Snapshots", by("SnapshotId"), OwnerIds=["self"])
    lines += listing("ec2", "describe_images", "Images", by("ImageId"), Owners=["self"])
    lines += listing("dlm", "get_lifecycle_policies", "Policies", by("PolicyId"))
    lines += listing("route53", "list_hosted_zones", "HostedZones", by("Id"))
    lines += listing("s3", "list_buckets", "Buckets", by("Name"))
    lines += listing("secretsmanager", "list_secrets", "SecretList", by("ARN"), IncludePlannedDeletion=True)
    lines += listing("iam", "list_roles", "Roles", by("Arn"))
    lines += listing("iam", "list_instance_profiles", "InstanceProfiles", by("Arn"))
    lines += listing("iam", "list_policies", "Policies", by("Arn"), Scope="Local")
    lines += listing("iam", "list_users", "Users", by("Arn"))
    lines += listing("ssm", "describe_parameters", "Parameters", by("Name"))
    lines += listing("cloudwatch", "describe_alarms", "MetricAlarms", by("AlarmName"))
    lines += listing("cloudwatch", "list_dashboards", "DashboardEntries", by("DashboardName"))
    lines += listing("logs", "describe_log_groups", "logGroups", by("logGroupName"))
    lines += listing("sns", "list_topics", "Topics", by("TopicArn"))
    lines += listing("lambda", "list_functions", "Functions", by("FunctionArn"))
    lines += listing("events", "list_rules", "Rules", by("Arn"))
    lines += listing("autoscaling", "describe_auto_scaling_groups", "AutoScalingGroups", by("AutoScalingGroupName"))
    lines += listing("elbv2", "describe_load_balancers", "LoadBalancers", by("LoadBalancerArn"))
    lines += listing("dynamodb", "list_tables", "TableNames", str)
    return sorted(lines)


def create_zone(name):
    made = boto3.client("route53").create_hosted_zone(Name=name, CallerReference=str(time.time()))
    return made["HostedZone"]["Id"].rpartition("/")[2]


def delete_zone(zone):
    route53 = boto3.client("route53")
    records = route53.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
    left = [f"{record['Name']} {record['Type']}" for record in records if record["Type"] not in ("NS", "SOA")]
    if not left:
        route53.delete_hosted_zone(Id=zone)
    return left


if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    commands = {
        "wait-instance": wait_instance,
        "role-credentials": role_credentials,
        "inventory": inventory,
        "create-zone": create_zone,
        "delete-zone": delete_zone,
    }
    print(json.dumps(commands[command](*arguments)))
