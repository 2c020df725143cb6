//! What a newcomer reads first.

use crate::options::{Ports, Upstream};

/// Addresses, and three lines to paste one after another into a shell: they make a token, use it and revoke it.
///
/// The first two strings of the answer to `POST /tokens` are the id and the token, and the first of the issuer's is the
/// session: `cut` takes them out, so that nothing but curl is needed.
pub fn text(ports: &Ports, upstream: Option<&Upstream>) -> String {
    let Ports { api, registry, identity, dynamodb } = ports;
    let behind =
        upstream.map_or("an echo of what a registry would be told".into(), |up| format!("in front of {}", up.url()));
    format!(
        r#"Latchkey is ready.

  management API  http://127.0.0.1:{api}
  registry        http://127.0.0.1:{registry}  ({behind})
  sign-in         http://127.0.0.1:{identity}  (an OpenID Connect issuer for anybody, under any name)
  DynamoDB        http://127.0.0.1:{dynamodb}

Make a token, use it, revoke it:

SESSION=$(curl -sS http://127.0.0.1:{identity}/oauth2/token -d 'grant_type=password&username=alice' | cut -d'"' -f4); CREATED=$(curl -sS http://127.0.0.1:{api}/tokens -H "Authorization: Bearer $SESSION" -d '{{"name":"my first token","scopes":["read"]}}'); echo "$CREATED"
curl -sS http://127.0.0.1:{registry}/hello -H "Authorization: Bearer $(echo "$CREATED" | cut -d'"' -f8)"; echo
curl -sS -X DELETE http://127.0.0.1:{api}/tokens/$(echo "$CREATED" | cut -d'"' -f4) -H "Authorization: Bearer $SESSION" -w '%{{http_code}}\n'

Ctrl-C stops it.
"#
    )
}
