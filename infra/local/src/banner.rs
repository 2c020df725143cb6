//! What a newcomer is told when the stack is ready.

use crate::options::{Data, Ports, Upstream};

/// Addresses, and three lines to be pasted into a shell as they stand. They need nothing but `curl` and `cut`: the
/// fields that they cut out have fixed places in our answers.
pub fn banner(ports: Ports, upstream: Option<&Upstream>, data: &Data) -> String {
    let Ports { api, registry, identity, dynamodb } = ports;
    let behind = match upstream {
        Some(upstream) => format!("in front of {}", upstream.url()),
        None => "an echo; --upstream URL puts it in front of a registry".into(),
    };
    let kept = match data {
        Data::Dir(dir) => format!("kept in {}", dir.display()),
        Data::Memory => "gone when this stops".into(),
    };
    format!(
        r#"Latchkey is ready.

  console         http://127.0.0.1:{api}  (and the management API)
  registry        http://127.0.0.1:{registry}  ({behind})
  sign-in         http://127.0.0.1:{identity}  (OpenID Connect; any name will do)
  DynamoDB        http://127.0.0.1:{dynamodb}  (data {kept})

Make a token, use it, revoke it:

SESSION=$(curl -sS http://127.0.0.1:{identity}/oauth2/token -d 'grant_type=password&username=alice' | cut -d'"' -f4); CREATED=$(curl -sS http://127.0.0.1:{api}/tokens -H "Authorization: Bearer $SESSION" -d '{{"name": "my first token", "scopes": ["read"]}}'); ID=$(printf %s "$CREATED" | cut -d'"' -f4); TOKEN=$(printf %s "$CREATED" | cut -d'"' -f8); echo "$TOKEN"
curl -sS -u "alice:$TOKEN" http://127.0.0.1:{registry}/hello; echo
curl -sS -X DELETE "http://127.0.0.1:{api}/tokens/$ID" -H "Authorization: Bearer $SESSION" -w '%{{http_code}}\n'

Ctrl-C stops it.
"#
    )
}
