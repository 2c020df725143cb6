// Latchkey's decision as one would write it for Node: the SDK's client, made once, and the standard library.

import { createHash, timingSafeEqual } from "node:crypto";
import { crc32 } from "node:zlib";
import { DynamoDBClient, GetItemCommand } from "@aws-sdk/client-dynamodb";

const dynamodb = new DynamoDBClient({});
const { TABLE_NAME, TOKEN_PREFIX = "lk", CONSOLE_URL } = process.env;
const MAX_TOKEN_DAYS = Number(process.env.MAX_TOKEN_DAYS ?? 365);
const DAY = 86_400;

const DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const TOKEN = new RegExp(`^${TOKEN_PREFIX}_([0-9A-Za-z]{17})([0-7][0-9A-HJKMNP-TV-Z]{25})_[0-9A-Za-z]{49}$`);
const READING = ["GET", "HEAD", "OPTIONS"];
const WRITING = ["PUT", "POST", "PATCH", "DELETE"];
const READ_BY_POST = [
  "/-/npm/v1/security/advisories/bulk", "/-/npm/v1/security/audits", "/-/npm/v1/security/audits/quick",
  "/git-upload-pack",
];
const NOT_PLAIN = [
  "//", "/..", "/./", "/.;", "/.%", "\\", "%2e", "%2E", "%5c", "%5C", "%25", "%00", "/%2f", "/%2F", "%2f/", "%2F/",
  "%2f.", "%2F.", "%2f%", "%2F%",
  "%c0", "%C0", "%c1", "%C1", "%e0%8", "%E0%8", "%f0%8", "%F0%8", "%u", "%U", "%3f", "%3F", "%23", "#",
];
const OPENING_SESSIONS = ["/-/v1/login", "/-/v1/login/", "/api/v1/api_key", "/api/v1/api_key/"];

export async function handler(event) {
  const token = find(event);
  if (!token) throw refused("no token");
  const [, owner, ulid] = TOKEN.exec(token);
  const { Item } = await dynamodb.send(new GetItemCommand({
    TableName: TABLE_NAME, ConsistentRead: true, Key: { owner: { S: owner }, id: { S: ulid } },
  }));
  const hash = createHash("sha256").update(token).digest();
  if (!timingSafeEqual(hash, Item?.hash.B ?? Buffer.alloc(32)) || !Item) throw refused("unknown token");

  const [stage] = event.methodArn.match(/^arn:[^/]*\/[^/]*/);
  const record = {
    id: owner + ulid,
    name: Item.name.S,
    subject: Item.subject.S,
    scopes: Item.scopes.L.map((scope) => scope.S),
    end: end(Number(Item.created_at.N), Number(Item.expires_at.N)),
    revoked: Item.revoked_at && Number(Item.revoked_at.N),
  };
  const place = CONSOLE_URL ? `Create another at ${CONSOLE_URL}` : "Create another where you created it.";
  if (record.revoked !== undefined) {
    return denied(stage, record, `Token ${record.name} was revoked on ${time(record.revoked)}. ${place}`);
  }
  if (Math.floor(Date.now() / 1000) > record.end) {
    return denied(stage, record, `Token ${record.name} expired on ${time(record.end)}. ${place}`);
  }
  const message = `Token ${record.name} grants ${record.scopes.join(" ")}. This request needs more. ${place}`;
  console.log(JSON.stringify({ decision: "allow", reason: "granted", token_id: record.id }));
  return answer(record, grant(stage, record.scopes), message);
}

function find(event) {
  const headers = event.multiValueHeaders ?? {};
  const name = Object.keys(headers).find((name) => name.toLowerCase() === "authorization");
  for (const value of headers[name] ?? []) {
    const [scheme, rest] = value.trim().split(" ", 2);
    let token = rest ?? scheme;
    if (scheme.toLowerCase() === "basic") {
      const [user, password] = Buffer.from(rest, "base64").toString().split(":", 2);
      token = password || user;
    }
    if (TOKEN.test(token) && checksum(token.slice(0, -6)) === token.slice(-6)) return token;
  }
}

function checksum(body) {
  let number = crc32(body);
  let digits = "";
  for (let i = 0; i < 6; i++) {
    digits = DIGITS[number % 62] + digits;
    number = Math.floor(number / 62);
  }
  return digits;
}

function end(createdAt, expiresAt) {
  const latest = createdAt + MAX_TOKEN_DAYS * DAY;
  return Math.min(expiresAt, latest - (latest % DAY) + DAY - 1);
}

function patterns(resource) {
  const path = `/${resource}`;
  const scoped = /^(.*?\/@[^/]*)\/(.*)$/.exec(path);
  return scoped ? ["%2f", "%2F", "/"].map((slash) => scoped[1] + slash + scoped[2]) : [path];
}

// What a pattern and `*end` both match.
function both(pattern, end) {
  if (!pattern.endsWith("*")) return pattern.endsWith(end) ? [pattern] : [];
  const before = pattern.slice(0, -1);
  const found = [];
  for (let k = 1; k <= Math.min(before.length, end.length); k++) {
    if (before.endsWith(end.slice(0, k))) found.push(before + end.slice(k));
  }
  return [...found, `${before}*${end}`];
}

function grant(stage, scopes) {
  const allowed = [];
  for (const scope of scopes) {
    const [action, resource] = scope.split(":");
    for (const pattern of patterns(resource)) {
      const methods = action === "write" ? [...READING, ...WRITING] : READING;
      allowed.push(...methods.map((method) => `${stage}/${method}${pattern}`));
      if (action === "read") {
        allowed.push(...READ_BY_POST.flatMap((end) => both(pattern, end)).map((post) => `${stage}/POST${post}`));
      }
    }
  }
  const odd = [...NOT_PLAIN.map((piece) => `*${piece}*`), "*/."].map((pattern) => `${stage}/${pattern}`);
  const sessions = OPENING_SESSIONS.map((end) => `${stage}/POST*${end}`);
  return [statement("Allow", allowed), statement("Deny", [...odd, ...sessions])];
}

function statement(Effect, Resource) {
  return { Action: "execute-api:Invoke", Effect, Resource };
}

function denied(stage, record, message) {
  console.log(JSON.stringify({ decision: "deny", reason: "token ended", token_id: record.id }));
  return answer(record, [statement("Deny", [`${stage}/*`])], message);
}

function answer(record, Statement, message) {
  const encoded = (text) => encodeURIComponent(text).replaceAll("%40", "@").replaceAll("%2B", "+");
  const context = {
    tokenId: record.id,
    tokenName: encoded(record.name),
    subject: encoded(record.subject),
    scopes: record.scopes.join(" "),
    expiresAt: time(record.end),
    message,
  };
  return { principalId: record.id, policyDocument: { Version: "2012-10-17", Statement }, context };
}

function time(seconds) {
  return new Date(seconds * 1000).toISOString().replace(".000Z", "Z");
}

function refused(reason) {
  console.log(JSON.stringify({ decision: "unauthorized", reason }));
  return new Error("Unauthorized");
}
