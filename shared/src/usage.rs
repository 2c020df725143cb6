//! How a token is used: for each client that the deployment offers, what to do and what to paste.

mod client;

use crate::scope::{Action, Resource, Scopes};
use crate::token::Token;
use client::{CLIENTS, Client, Kind, Place};
use serde::Serialize;
use std::fmt;
use std::str::FromStr;

/// How one client is told of a token. It holds the token, so it is shown when the token is, and never kept.
#[derive(Serialize)]
pub struct Usage {
    /// The client's name in `REGISTRY_CLIENTS`.
    pub client: &'static str,
    /// Its name for people.
    pub title: &'static str,
    /// One or two sentences.
    pub instructions: &'static str,
    /// Commands, or a piece of a program: to be pasted once the words in capitals are replaced.
    pub snippet: String,
}

/// The registry's address (`REGISTRY_URL`), as clients are configured with it: `http` or `https`, without a slash at
/// its end. It stands in snippets as it is, so it holds no character that a shell or a language takes for its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryUrl {
    https: bool,
    /// The host, with a port where there is one.
    host: String,
    /// What follows, with its leading slash; mostly nothing.
    path: String,
}

/// What is wrong with a text that should be a [`RegistryUrl`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidRegistryUrl;

impl fmt::Display for InvalidRegistryUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an http or https address such as https://registry.example, of letters, digits and .:/_~-")
    }
}

impl FromStr for RegistryUrl {
    type Err = InvalidRegistryUrl;

    fn from_str(text: &str) -> Result<Self, InvalidRegistryUrl> {
        let https = text.starts_with("https://");
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).ok_or(InvalidRegistryUrl)?;
        let rest = rest.trim_end_matches('/');
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let plain = |text: &str, more: &[u8]| text.bytes().all(|b| b.is_ascii_alphanumeric() || more.contains(&b));
        let valid = !host.is_empty() && plain(host, b".:-") && plain(path, b"/._~-") && text.len() <= 200;
        if valid { Ok(Self { https, host: host.into(), path: path.into() }) } else { Err(InvalidRegistryUrl) }
    }
}

/// The clients that a deployment offers (`REGISTRY_CLIENTS`), each with the path below the registry's address where its
/// kind of registry lies.
#[derive(Clone, Debug)]
pub struct Clients(Vec<(&'static Client, String)>);

impl Default for Clients {
    /// All of them, at the address itself.
    fn default() -> Self {
        Self(CLIENTS.iter().map(|client| (client, String::new())).collect())
    }
}

impl FromStr for Clients {
    type Err = String;

    /// From `NAME` or `NAME=PATH`, apart by commas; the error is the piece that is wrong.
    fn from_str(text: &str) -> Result<Self, String> {
        let pieces = text.split(',').map(str::trim).filter(|piece| !piece.is_empty());
        let one = |piece: &str| {
            let (name, path) = piece.split_once('=').unwrap_or((piece, ""));
            let path = path.trim().trim_matches('/');
            // Such a path stands in snippets as it is; a resource's characters are harmless there.
            let valid = path.is_empty() || (path.parse::<Resource>().is_ok() && !path.contains('*'));
            let client = CLIENTS.iter().find(|client| client.name == name.trim()).filter(|_| valid)?;
            Some((client, path.to_string()))
        };
        pieces.map(|piece| one(piece).ok_or_else(|| piece.to_string())).collect::<Result<_, _>>().map(Self)
    }
}

/// How a deployment's tokens are used: nothing can be said where it does not tell its registry's address.
#[derive(Clone, Debug)]
pub struct Instructions {
    /// `REGISTRY_URL`
    pub registry: Option<RegistryUrl>,
    /// `REGISTRY_CLIENTS`
    pub clients: Clients,
}

impl Instructions {
    /// What the owner of a new token is shown: every client that can do something with it.
    pub fn of(&self, token: &Token, scopes: &Scopes) -> Vec<Usage> {
        let Some(registry) = &self.registry else { return vec![] };
        self.clients.usage(registry, token, scopes)
    }
}

impl Clients {
    /// The names that there are.
    pub fn names() -> impl Iterator<Item = &'static str> {
        CLIENTS.iter().map(|client| client.name)
    }

    fn usage(&self, registry: &RegistryUrl, token: &Token, scopes: &Scopes) -> Vec<Usage> {
        let offered = self.0.iter().filter_map(|(client, path)| client.usage(registry, path, token, scopes));
        offered.collect()
    }
}

impl Client {
    /// `None` where this token or this address is of no use to the client.
    fn usage(&self, registry: &RegistryUrl, path: &str, token: &Token, scopes: &Scopes) -> Option<Usage> {
        let below = match (self.kind, path) {
            // Container clients ask for /v2/ at the host's root, whatever the registry's address.
            (Kind::Container, _) if !registry.path.is_empty() => return None,
            (Kind::Container, "") => "v2/".to_string(),
            (Kind::Container, path) => format!("v2/{path}/"),
            (Kind::Paths, "") => String::new(),
            (Kind::Paths, path) => format!("{path}/"),
        };
        let place = Place::new(registry, path, token.expose());
        let guide = (self.guide)(&place);
        let read = guide.read.filter(|_| scopes.reach(Action::Read, &below));
        let write = guide.write.filter(|_| scopes.reach(Action::Write, &below));
        let commands: Vec<_> = read.into_iter().chain(write).collect();
        if commands.is_empty() {
            return None;
        }
        let snippet = format!("{}\n{}", guide.setup, commands.join("\n"));
        Some(Usage { client: self.name, title: self.title, instructions: self.instructions, snippet })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::id::OwnerKey;

    fn usage(registry: &str, clients: &str, scopes: &[&str]) -> Vec<Usage> {
        let now = Timestamp::from_secs(1_800_000_000);
        let token = Token::mint(&"lk".parse().unwrap(), OwnerKey::of("i", "s"), now).unwrap();
        let clients = if clients.is_empty() { Clients::default() } else { clients.parse().unwrap() };
        let scopes = Scopes::new(scopes.iter().map(|scope| scope.parse().unwrap())).unwrap();
        let usage = clients.usage(&registry.parse().unwrap(), &token, &scopes);
        assert!(usage.iter().all(|usage| usage.snippet.contains(token.expose())), "the token is in each");
        usage
    }

    fn names(usage: &[Usage]) -> Vec<&'static str> {
        usage.iter().map(|usage| usage.client).collect()
    }

    #[test]
    fn every_client_is_offered_unless_the_deployment_names_some() {
        let all = usage("https://registry.example", "", &["write"]);
        assert_eq!(names(&all), Clients::names().collect::<Vec<_>>());
        assert_eq!(all.len(), 20);
        assert_eq!(names(&usage("https://registry.example", "npm, uv=pypi", &["write"])), ["npm", "uv"]);
    }

    #[test]
    fn a_token_that_only_reads_gets_no_command_that_writes() {
        let reading = usage("https://registry.example", "", &["read"]);
        assert!(!names(&reading).contains(&"twine"), "twine only uploads");
        for usage in reading {
            let writes = ["publish", "push", "upload", "deploy", "put(", "-T FILE", "-Method Put", "req_method"];
            let command = usage.snippet.lines().last().unwrap();
            assert!(!writes.iter().any(|word| command.contains(word)), "{command}");
        }
    }

    #[test]
    fn a_client_is_offered_where_the_token_opens_some_of_its_paths() {
        let clients = "npm=npm,pip=pypi,cargo=crates,docker=team";
        let offered = |scopes| names(&usage("https://registry.example", clients, scopes));
        assert_eq!(offered(&["write:npm/@acme/*"]), ["npm"]);
        assert_eq!(offered(&["read:pypi/simple/flask/", "read:n*"]), ["npm", "pip"]);
        assert_eq!(offered(&["read:v2/*"]), ["docker"]);
        assert_eq!(offered(&["read:v2/other/*"]), [] as [&str; 0]);
        let npm = usage("https://registry.example", clients, &["read:npm/*", "write:crates/*"]).remove(0);
        assert!(!npm.snippet.contains("publish"), "{}", npm.snippet);
    }

    #[test]
    fn addresses_of_snippets_have_the_clients_path() {
        let npm = usage("https://registry.example/live", "npm=npm", &["write"]).remove(0);
        assert!(npm.snippet.contains("registry=https://registry.example/live/npm/\n"), "{}", npm.snippet);
        assert!(npm.snippet.contains("//registry.example/live/npm/:_authToken=lk_"), "{}", npm.snippet);
        let docker = usage("http://127.0.0.1:3001", "docker=team", &["write"]).remove(0);
        assert!(docker.snippet.contains("docker push 127.0.0.1:3001/team/IMAGE"), "{}", docker.snippet);
    }

    #[test]
    fn a_container_client_is_not_offered_below_a_path_where_it_never_looks() {
        assert!(usage("https://x.example/live", "docker,skopeo,helm", &["write"]).is_empty());
    }

    #[test]
    fn an_address_or_a_list_that_would_break_a_snippet_is_refused() {
        for wrong in [
            "",
            "registry.example",
            "ftp://a",
            "https://",
            "https:///x",
            "https://a b",
            "https://a/'x",
            "https://u@a",
            "https://a/$x",
        ] {
            assert_eq!(wrong.parse::<RegistryUrl>(), Err(InvalidRegistryUrl), "{wrong}");
        }
        for (wrong, piece) in
            [("npm,emacs", "emacs"), ("npm=../x", "npm=../x"), ("npm=$x", "npm=$x"), ("npm=a*", "npm=a*")]
        {
            assert_eq!(wrong.parse::<Clients>().unwrap_err(), piece);
        }
    }
}
