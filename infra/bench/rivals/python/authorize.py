"""Latchkey's decision as one would write it for Python: boto3's client, made once, and the standard library."""

import base64
import hashlib
import hmac
import json
import os
import re
import time
import zlib
from datetime import datetime, timezone
from urllib.parse import quote

import boto3

DYNAMODB = boto3.client("dynamodb")
TABLE_NAME = os.environ["TABLE_NAME"]
TOKEN_PREFIX = os.environ.get("TOKEN_PREFIX", "lk")
MAX_TOKEN_DAYS = int(os.environ.get("MAX_TOKEN_DAYS", 365))
CONSOLE_URL = os.environ.get("CONSOLE_URL")
DAY = 86_400

DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
TOKEN = re.compile(rf"{TOKEN_PREFIX}_([0-9A-Za-z]{{17}})([0-7][0-9A-HJKMNP-TV-Z]{{25}})_[0-9A-Za-z]{{49}}")
READING = ["GET", "HEAD", "OPTIONS"]
WRITING = ["PUT", "POST", "PATCH", "DELETE"]
READ_BY_POST = [
    "/-/npm/v1/security/advisories/bulk", "/-/npm/v1/security/audits", "/-/npm/v1/security/audits/quick",
    "/git-upload-pack",
]
NOT_PLAIN = [
    "//", "/..", "/./", "/.;", "/.%", "\\", "%2e", "%2E", "%5c", "%5C", "%25", "%00", "/%2f", "/%2F", "%2f/", "%2F/",
    "%2f.", "%2F.", "%2f%", "%2F%",
    "%c0", "%C0", "%c1", "%C1", "%e0%8", "%E0%8", "%f0%8", "%F0%8", "%u", "%U", "%3f", "%3F", "%23", "#",
]
OPENING_SESSIONS = ["/-/v1/login", "/-/v1/login/", "/api/v1/api_key", "/api/v1/api_key/"]


def handler(event, _context):
    token = find(event)
    if token is None:
        raise refused("no token")
    owner, ulid = TOKEN.fullmatch(token).groups()
    key = {"owner": {"S": owner}, "id": {"S": ulid}}
    item = DYNAMODB.get_item(TableName=TABLE_NAME, ConsistentRead=True, Key=key).get("Item")
    kept = item["hash"]["B"] if item else bytes(32)
    if not hmac.compare_digest(hashlib.sha256(token.encode()).digest(), kept) or not item:
        raise refused("unknown token")

    stage = re.match(r"arn:[^/]*/[^/]*", event["methodArn"]).group()
    record = {
        "id": owner + ulid,
        "name": item["name"]["S"],
        "subject": item["subject"]["S"],
        "scopes": [scope["S"] for scope in item["scopes"]["L"]],
        "end": end(int(item["created_at"]["N"]), int(item["expires_at"]["N"])),
    }
    name = record["name"]
    place = f"Create another at {CONSOLE_URL}" if CONSOLE_URL else "Create another where you created it."
    if "revoked_at" in item:
        return denied(stage, record, f"Token {name} was revoked on {moment(int(item['revoked_at']['N']))}. {place}")
    if int(time.time()) > record["end"]:
        return denied(stage, record, f"Token {name} expired on {moment(record['end'])}. {place}")
    print(json.dumps({"decision": "allow", "reason": "granted", "token_id": record["id"]}))
    message = f"Token {name} grants {' '.join(record['scopes'])}. This request needs more. {place}"
    return answer(record, grant(stage, record["scopes"]), message)


def find(event):
    for name, values in (event.get("multiValueHeaders") or {}).items():
        for value in values if name.lower() == "authorization" else []:
            scheme, _, rest = value.strip().partition(" ")
            token = rest or scheme
            if scheme.lower() == "basic":
                user, _, password = base64.b64decode(rest).decode().partition(":")
                token = password or user
            if TOKEN.fullmatch(token) and checksum(token[:-6]) == token[-6:]:
                return token
    return None


def checksum(body):
    number = zlib.crc32(body.encode())
    digits = ""
    for _ in range(6):
        number, digit = divmod(number, 62)
        digits = DIGITS[digit] + digits
    return digits


def end(created_at, expires_at):
    latest = created_at + MAX_TOKEN_DAYS * DAY
    return min(expires_at, latest - latest % DAY + DAY - 1)


def patterns(resource):
    scoped = re.fullmatch(r"(.*?/@[^/]*)/(.*)", f"/{resource}")
    return [scoped[1] + slash + scoped[2] for slash in ("%2f", "%2F", "/")] if scoped else [f"/{resource}"]


def both(pattern, tail):
    """What a pattern and `*tail` both match."""
    if not pattern.endswith("*"):
        return [pattern] if pattern.endswith(tail) else []
    before = pattern[:-1]
    overlaps = range(1, min(len(before), len(tail)) + 1)
    return [before + tail[k:] for k in overlaps if before.endswith(tail[:k])] + [f"{before}*{tail}"]


def grant(stage, scopes):
    allowed = []
    for scope in scopes:
        action, resource = scope.split(":")
        for pattern in patterns(resource):
            methods = READING + WRITING if action == "write" else READING
            allowed += [f"{stage}/{method}{pattern}" for method in methods]
            if action == "read":
                allowed += [f"{stage}/POST{post}" for tail in READ_BY_POST for post in both(pattern, tail)]
    odd = [f"{stage}/*{piece}*" for piece in NOT_PLAIN] + [f"{stage}/*/."]
    sessions = [f"{stage}/POST*{tail}" for tail in OPENING_SESSIONS]
    return [statement("Allow", allowed), statement("Deny", odd + sessions)]


def statement(effect, resource):
    return {"Action": "execute-api:Invoke", "Effect": effect, "Resource": resource}


def denied(stage, record, message):
    print(json.dumps({"decision": "deny", "reason": "token ended", "token_id": record["id"]}))
    return answer(record, [statement("Deny", [f"{stage}/*"])], message)


def answer(record, statements, message):
    context = {
        "tokenId": record["id"],
        "tokenName": quote(record["name"], safe="-._~@+"),
        "subject": quote(record["subject"], safe="-._~@+"),
        "scopes": " ".join(record["scopes"]),
        "expiresAt": moment(record["end"]),
        "message": message,
    }
    policy = {"Version": "2012-10-17", "Statement": statements}
    return {"principalId": record["id"], "policyDocument": policy, "context": context}


def moment(seconds):
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def refused(reason):
    print(json.dumps({"decision": "unauthorized", "reason": reason}))
    return Exception("Unauthorized")
