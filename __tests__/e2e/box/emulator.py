"""Starts moto, the AWS emulator, for the end-to-end test: emulator.py HOST PORT."""

import sys

from moto.iam.access_control import IAMPolicyStatement, PermissionResult
from moto.server import main

# moto 5.2 applies a statement whatever its Condition says, unless the operator is StringEquals; and where it does
# judge a condition and finds that it does not hold, it answers "denied" instead of "this statement says nothing".
# So the bucket policy that denies access without TLS would deny all access. The policy is right and stays as it is
# in production; here the one condition that the stack uses is judged the way AWS does. The emulator stands where
# AWS's TLS endpoints stand, so a request counts as one over TLS.
REQUEST_CONTEXT = {"aws:SecureTransport": "true"}

original = IAMPolicyStatement.is_action_permitted


def condition_holds(condition):
    for operator, expectations in condition.items():
        if operator != "Bool":
            raise NotImplementedError(f"emulator.py cannot judge the condition operator {operator}")
        for key, expected in expectations.items():
            expected = expected if isinstance(expected, list) else [expected]
            if REQUEST_CONTEXT[key] not in [str(value).lower() for value in expected]:
                return False
    return True


def is_action_permitted(self, *args, **kwargs):
    condition = self._statement.get("Condition")
    if condition and set(condition) == {"Bool"} and not condition_holds(condition):
        return PermissionResult.NEUTRAL
    return original(self, *args, **kwargs)


IAMPolicyStatement.is_action_permitted = is_action_permitted

if __name__ == "__main__":
    host, port = sys.argv[1:]
    main(["-H", host, "-p", port])
