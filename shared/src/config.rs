//! Settings: environment variables, read and checked whole at start.
//!
//! Every setting is defined here once, with its name, its default and what is allowed. A function's configuration
//! takes those it uses from one [`Reader`], which gathers every wrong one before it fails.

use crate::lifetime::{Lifetime, MOST_DAYS};
use crate::scope::{ReadByPost, Resource};
use crate::token::{Prefix, TokenHash};
use crate::usage::{Clients, Instructions, InvalidRegistryUrl, RegistryUrl};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// The variables a function was started with.
#[derive(Clone, Debug, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// Those of this process. A variable that is no UTF-8 counts as not set.
    pub fn from_process() -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        std::env::vars_os().filter_map(text).collect()
    }
}

impl FromIterator<(String, String)> for Environment {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(variables: I) -> Self {
        Self(variables.into_iter().collect())
    }
}

/// Everything that is wrong with the settings, one a line.
#[derive(PartialEq, Eq)]
pub struct ConfigError(Vec<String>);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "wrong settings:\n  {}", self.0.join("\n  "))
    }
}

impl fmt::Debug for ConfigError {
    /// As it is displayed: this is what a `main` that returns it prints.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for ConfigError {}

/// Takes settings out of an environment, and remembers what was wrong.
#[derive(Debug)]
pub struct Reader<'a> {
    environment: &'a Environment,
    wrong: Vec<String>,
}

impl<'a> Reader<'a> {
    /// Over these variables.
    pub fn new(environment: &'a Environment) -> Self {
        Self { environment, wrong: vec![] }
    }

    /// The configuration that was read, if nothing in it was wrong.
    pub fn finish<T>(self, config: T) -> Result<T, ConfigError> {
        if self.wrong.is_empty() { Ok(config) } else { Err(ConfigError(self.wrong)) }
    }

    /// `TABLE_NAME` (`latchkey`): the DynamoDB table, by name or ARN.
    pub fn table_name(&mut self) -> String {
        self.text("TABLE_NAME").unwrap_or("latchkey").into()
    }

    /// `TOKEN_PREFIX` (`lk`): how tokens begin; fixed once tokens exist.
    pub fn token_prefix(&mut self) -> Prefix {
        let Some(text) = self.text("TOKEN_PREFIX") else { return Prefix::default() };
        text.parse().unwrap_or_else(|_| {
            self.refuse("TOKEN_PREFIX", text, "a small letter, then 1 to 9 small letters or digits");
            Prefix::default()
        })
    }

    /// `MAX_TOKEN_DAYS` (365) and `ALLOW_NO_EXPIRY` (false).
    pub fn lifetime(&mut self) -> Lifetime {
        Lifetime {
            max_days: self.number("MAX_TOKEN_DAYS", 365, 1..=MOST_DAYS),
            allow_no_expiry: self.choice("ALLOW_NO_EXPIRY", &[("false", false), ("true", true)]),
        }
    }

    /// `DEFAULT_TOKEN_DAYS` (90, or `MAX_TOKEN_DAYS` where that is shorter): the life of a token whose maker names none.
    pub fn default_token_days(&mut self, lifetime: &Lifetime) -> u32 {
        self.number("DEFAULT_TOKEN_DAYS", 90.min(lifetime.max_days), 1..=lifetime.max_days)
    }

    /// `MAX_ACTIVE_TOKENS` (100): how many tokens of one owner may be active at a time.
    pub fn max_active_tokens(&mut self) -> u32 {
        self.number("MAX_ACTIVE_TOKENS", 100, 1..=100_000)
    }

    /// `CREATION_PAUSED` (none): why no tokens are made for the time being; whoever asks for one reads it.
    pub fn creation_paused(&mut self) -> Option<String> {
        let text = self.text("CREATION_PAUSED")?;
        if text.chars().count() > 500 || text.chars().any(char::is_control) {
            self.refuse("CREATION_PAUSED", "(its text)", "one line of at most 500 characters");
        }
        Some(text.into())
    }

    /// `ADMIN_GROUP` (none): the group of those who may see, end and make tokens of others.
    pub fn admin_group(&mut self) -> Option<String> {
        let group = self.text("ADMIN_GROUP")?;
        // The gateway hands over a list of groups as `[one two]`.
        if group.contains([' ', ',', '[', ']']) {
            self.refuse("ADMIN_GROUP", group, "the name of one group, without spaces, commas and brackets");
        }
        Some(group.into())
    }

    /// `RETENTION_DAYS` (30): how long a token that has ended stays in its owner's list.
    pub fn retention_days(&mut self) -> u32 {
        self.number("RETENTION_DAYS", 30, 0..=3650)
    }

    /// `CACHE_SECONDS` (0): how long a function instance may go on with a record it has read.
    pub fn cache_seconds(&mut self) -> u32 {
        self.number("CACHE_SECONDS", 0, 0..=3600)
    }

    /// `NOTE_LAST_USE` (true): whether a token's last use is noted in the table. Not in a second region: what is written
    /// there at the moment of a revocation here would undo it.
    pub fn note_last_use(&mut self) -> bool {
        self.choice("NOTE_LAST_USE", &[("true", true), ("false", false)])
    }

    /// `AUTHORIZER_RESPONSE` (`policy`): whether HTTP API 2.0 events are answered `simple`, with yes or no to the one
    /// request.
    pub fn simple_response(&mut self) -> bool {
        self.choice("AUTHORIZER_RESPONSE", &[("policy", false), ("simple", true)])
    }

    /// `READ_BY_POST`: more reads that clients send as POST, apart by commas, beside those that are always known.
    pub fn read_by_post(&mut self) -> ReadByPost {
        let mut known = ReadByPost::default();
        let more = self.text("READ_BY_POST").unwrap_or_default();
        for pattern in more.split(',').map(str::trim).filter(|pattern| !pattern.is_empty()) {
            if known.add(pattern).is_err() {
                self.refuse("READ_BY_POST", pattern, "paths such as /search or */search, each with at most one *");
            }
        }
        known
    }

    /// `CONSOLE_URL` (none): where people mend their tokens; told to whoever is refused.
    pub fn console_url(&mut self) -> Option<String> {
        self.url("CONSOLE_URL")
    }

    fn url(&mut self, name: &str) -> Option<String> {
        let url = self.text(name)?;
        if is_url(url) {
            return Some(url.into());
        }
        self.refuse(name, url, "an http or https address of at most 200 ASCII characters");
        None
    }

    /// `RESOURCES` (one section: everything): the registry's sections for people, `LABEL=RESOURCE` apart by commas.
    pub fn resources(&mut self) -> Vec<(String, Resource)> {
        let text = self.text("RESOURCES").unwrap_or("Everything=*");
        let mut sections = vec![];
        for piece in text.split(',').map(str::trim) {
            let section = piece.split_once('=').and_then(|(label, resource)| {
                let label = Some(label.trim()).filter(|label| (1..=60).contains(&label.chars().count()))?;
                Some((label.to_string(), resource.trim().parse().ok()?))
            });
            match section {
                Some(section) => sections.push(section),
                None => self.refuse("RESOURCES", piece, "LABEL=RESOURCE, such as Packages for Python=pypi/*"),
            }
        }
        sections
    }

    /// `CONSOLE_TITLE` (Registry): the registry's name, as the console shows it.
    pub fn console_title(&mut self) -> String {
        let title = self.text("CONSOLE_TITLE").unwrap_or("Registry");
        if title.chars().count() > 60 {
            self.refuse("CONSOLE_TITLE", title, "at most 60 characters");
        }
        title.into()
    }

    /// `CONSOLE_ACCENT` (#3451c6): the console's one colour.
    pub fn console_accent(&mut self) -> [u8; 3] {
        let text = self.text("CONSOLE_ACCENT").unwrap_or("#3451c6");
        let digits = text.strip_prefix('#').filter(|digits| digits.len() == 6);
        match digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()) {
            Some(colour) => {
                let [_, red, green, blue] = colour.to_be_bytes();
                [red, green, blue]
            }
            None => {
                self.refuse("CONSOLE_ACCENT", text, "a colour such as #3451c6");
                [0; 3]
            }
        }
    }

    /// `CONSOLE_LOGO` (none): the address of a picture, shown 24 pixels high.
    pub fn console_logo(&mut self) -> Option<String> {
        self.url("CONSOLE_LOGO")
    }

    /// `OIDC_ISSUER`: the issuer that people sign in with, for the console.
    pub fn oidc_issuer(&mut self) -> String {
        self.url("OIDC_ISSUER").unwrap_or_default()
    }

    /// `OIDC_CLIENT_ID`: the client that the console is, there.
    pub fn oidc_client_id(&mut self) -> String {
        self.text("OIDC_CLIENT_ID").unwrap_or_default().into()
    }

    /// `OIDC_ORIGINS` (none): where the issuer's endpoints lie, if not at the issuer's own address, apart by spaces:
    /// Cognito's domain for signing in, for one.
    pub fn oidc_origins(&mut self) -> Vec<String> {
        let text = self.text("OIDC_ORIGINS").unwrap_or_default();
        for origin in text.split_whitespace().filter(|origin| !is_url(origin)) {
            self.refuse("OIDC_ORIGINS", origin, "http or https origins, apart by spaces");
        }
        text.split_whitespace().map(str::to_string).collect()
    }

    /// `REGISTRY_URL` and `REGISTRY_CLIENTS`: how tokens are used.
    pub fn instructions(&mut self) -> Instructions {
        Instructions { registry: self.registry_url(), clients: self.registry_clients() }
    }

    /// `REGISTRY_URL` (none): what clients are configured with. Without it, nobody can be told how to use a token.
    fn registry_url(&mut self) -> Option<RegistryUrl> {
        let text = self.text("REGISTRY_URL")?;
        text.parse().map_err(|error: InvalidRegistryUrl| self.refuse("REGISTRY_URL", text, &error.to_string())).ok()
    }

    /// `REGISTRY_CLIENTS` (all): the clients that the registry is for, each with the path where its kind of registry
    /// lies, such as `npm=npm,pip=pypi,docker`.
    fn registry_clients(&mut self) -> Clients {
        let Some(text) = self.text("REGISTRY_CLIENTS") else { return Clients::default() };
        text.parse().unwrap_or_else(|wrong: String| {
            let names = Clients::names().collect::<Vec<_>>().join(", ");
            self.refuse("REGISTRY_CLIENTS", &wrong, &format!("NAME or NAME=PATH, apart by commas; names: {names}"));
            Clients::default()
        })
    }

    /// `GITHUB_KEYS_URL` (GitHub's own): where the keys are that GitHub signs its reports with.
    pub fn github_keys_url(&mut self) -> String {
        self.url("GITHUB_KEYS_URL").unwrap_or_else(|| "https://api.github.com/meta/public_keys/secret_scanning".into())
    }

    /// `GITLAB_TOKEN_SHA256` (none): SHA-256 of what GitLab sends to be known by. Without it nobody is GitLab.
    pub fn gitlab_token(&mut self) -> Option<TokenHash> {
        let text = self.text("GITLAB_TOKEN_SHA256")?;
        let hash = hexadecimal(text).and_then(|bytes| TokenHash::from_bytes(&bytes));
        if hash.is_none() {
            // Whoever gave the token itself by mistake must not find it in the log.
            self.refuse("GITLAB_TOKEN_SHA256", "(its text)", "SHA-256 as 64 hexadecimal digits");
        }
        hash
    }

    /// `AWS_REGION`
    pub fn aws_region(&mut self) -> String {
        self.required("AWS_REGION", "the region of the table").into()
    }

    /// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and, where they are for a while, `AWS_SESSION_TOKEN`.
    pub fn aws_credentials(&mut self) -> (String, String, Option<String>) {
        let key = self.required("AWS_ACCESS_KEY_ID", "the key of a principal that may reach the table");
        let secret = self.required("AWS_SECRET_ACCESS_KEY", "what belongs to AWS_ACCESS_KEY_ID");
        (key.into(), secret.into(), self.text("AWS_SESSION_TOKEN").map(str::to_string))
    }

    /// `AWS_USE_FIPS_ENDPOINT` (false)
    pub fn aws_use_fips_endpoint(&mut self) -> bool {
        self.choice("AWS_USE_FIPS_ENDPOINT", &[("false", false), ("true", true)])
    }

    /// `AWS_USE_DUALSTACK_ENDPOINT` (false)
    pub fn aws_use_dualstack_endpoint(&mut self) -> bool {
        self.choice("AWS_USE_DUALSTACK_ENDPOINT", &[("false", false), ("true", true)])
    }

    /// `AWS_ENDPOINT_URL_DYNAMODB`, else `AWS_ENDPOINT_URL` (none): where DynamoDB is, if not at the region's address.
    pub fn dynamodb_endpoint(&mut self) -> Option<String> {
        ["AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL"].iter().find_map(|name| self.url(name))
    }

    /// `AWS_CA_BUNDLE` (none): a file of certificates in PEM, trusted instead of Amazon's: those of a proxy, say.
    pub fn ca_bundle(&mut self) -> Option<Vec<u8>> {
        let path = self.text("AWS_CA_BUNDLE")?;
        let bundle = std::fs::read(path).unwrap_or_default();
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bundle).collect();
        let mut roots = RootCertStore::empty();
        let mut fit = |certificates: Vec<_>| certificates.into_iter().all(|certificate| roots.add(certificate).is_ok());
        if certificates.is_ok_and(|certificates| !certificates.is_empty() && fit(certificates)) {
            return Some(bundle);
        }
        self.refuse("AWS_CA_BUNDLE", path, "the path of a readable file of certificates in PEM");
        None
    }

    fn required(&mut self, name: &str, allowed: &str) -> &'a str {
        let text = self.text(name);
        if text.is_none() {
            self.refuse(name, "", allowed);
        }
        text.unwrap_or_default()
    }

    /// An empty variable is one that is not set: a template's parameter can be empty, but not absent.
    fn text(&self, name: &str) -> Option<&'a str> {
        self.environment.0.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    fn number(&mut self, name: &str, default: u32, allowed: RangeInclusive<u32>) -> u32 {
        let Some(text) = self.text(name) else { return default };
        match u32::from_str(text) {
            Ok(number) if allowed.contains(&number) => number,
            _ => {
                self.refuse(name, text, &format!("a whole number from {} to {}", allowed.start(), allowed.end()));
                default
            }
        }
    }

    /// The first choice is the default.
    fn choice(&mut self, name: &str, choices: &[(&str, bool); 2]) -> bool {
        let [(first, default), (second, _)] = *choices;
        let Some(text) = self.text(name) else { return default };
        if let Some((_, value)) = choices.iter().find(|(choice, _)| *choice == text) {
            return *value;
        }
        self.refuse(name, text, &format!("{first} or {second}"));
        default
    }

    fn refuse(&mut self, name: &str, given: &str, allowed: &str) {
        self.wrong.push(format!("{name} is \"{given}\"; allowed: {allowed}"));
    }
}

/// The bytes that these digits stand for; `None` if they are no pairs of hexadecimal digits.
fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    let pair = |pair: &[u8]| {
        let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let [high, low] = pair else { return None };
        Some(digit(high)? << 4 | digit(low)?)
    };
    text.as_bytes().chunks(2).map(pair).collect()
}

/// Whether this is an address that may be put into a line of JSON and into headers as it stands.
fn is_url(text: &str) -> bool {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let plain = text.bytes().all(|b| b.is_ascii_graphic() && !b"\"\\<>;,'".contains(&b));
    plain && text.len() <= 200 && host.is_some_and(|host| !host.is_empty())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        variables.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    }

    #[test]
    fn an_empty_variable_means_the_default() {
        let environment = environment(&[("MAX_TOKEN_DAYS", ""), ("TOKEN_PREFIX", " "), ("AUTHORIZER_RESPONSE", "")]);
        let mut read = Reader::new(&environment);
        let lifetime = read.lifetime();
        assert_eq!((lifetime.max_days, lifetime.allow_no_expiry), (365, false));
        assert_eq!(read.token_prefix().as_str(), "lk");
        assert!(!read.simple_response());
        assert!(read.finish(()).is_ok());
    }

    #[test]
    fn a_hash_is_read_in_either_case_and_must_be_whole() {
        let of = |text: &str| {
            let environment = environment(&[("GITLAB_TOKEN_SHA256", text)]);
            Reader::new(&environment).gitlab_token()
        };
        let digits = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";
        for text in [digits.to_owned(), digits.to_uppercase()] {
            assert!(of(&text).is_some_and(|hash| hash.matches(&TokenHash::of("secret"))), "{text}");
        }
        for text in ["", "2bb8", digits.get(1..).unwrap(), &format!("{digits}0"), &digits.replacen("2b", "+b", 1)] {
            assert!(of(text).is_none(), "{text}");
        }
    }

    #[test]
    fn every_wrong_variable_is_named_at_once_with_what_is_allowed() {
        let environment = environment(&[
            ("TOKEN_PREFIX", "Lk"),
            ("MAX_TOKEN_DAYS", "0"),
            ("ALLOW_NO_EXPIRY", "yes"),
            ("DEFAULT_TOKEN_DAYS", "400"),
            ("CACHE_SECONDS", "-1"),
            ("AUTHORIZER_RESPONSE", "SIMPLE"),
            ("READ_BY_POST", "/fine, fine"),
            ("CONSOLE_URL", "tokens.example"),
            ("RESOURCES", "npm"),
            ("CONSOLE_ACCENT", "red"),
            ("OIDC_ORIGINS", "https://a b"),
            ("CREATION_PAUSED", "a\nb"),
            ("ADMIN_GROUP", "a b"),
            ("GITHUB_KEYS_URL", "api.github.com"),
            ("GITLAB_TOKEN_SHA256", "glrt-secret"),
            ("REGISTRY_URL", "registry.example"),
            ("REGISTRY_CLIENTS", "npm,emacs"),
        ]);
        let mut read = Reader::new(&environment);
        read.token_prefix();
        let lifetime = read.lifetime();
        read.default_token_days(&lifetime);
        read.cache_seconds();
        read.simple_response();
        read.read_by_post();
        read.console_url();
        read.resources();
        read.console_accent();
        read.oidc_origins();
        read.creation_paused();
        read.admin_group();
        read.github_keys_url();
        read.gitlab_token();
        read.instructions();
        let error = read.finish(()).unwrap_err().to_string();
        assert_eq!(
            error.lines().skip(1).map(str::trim).collect::<Vec<_>>(),
            [
                "TOKEN_PREFIX is \"Lk\"; allowed: a small letter, then 1 to 9 small letters or digits",
                "MAX_TOKEN_DAYS is \"0\"; allowed: a whole number from 1 to 36500",
                "ALLOW_NO_EXPIRY is \"yes\"; allowed: false or true",
                "DEFAULT_TOKEN_DAYS is \"400\"; allowed: a whole number from 1 to 365",
                "CACHE_SECONDS is \"-1\"; allowed: a whole number from 0 to 3600",
                "AUTHORIZER_RESPONSE is \"SIMPLE\"; allowed: policy or simple",
                "READ_BY_POST is \"fine\"; allowed: paths such as /search or */search, each with at most one *",
                "CONSOLE_URL is \"tokens.example\"; allowed: an http or https address of at most 200 ASCII characters",
                "RESOURCES is \"npm\"; allowed: LABEL=RESOURCE, such as Packages for Python=pypi/*",
                "CONSOLE_ACCENT is \"red\"; allowed: a colour such as #3451c6",
                "OIDC_ORIGINS is \"b\"; allowed: http or https origins, apart by spaces",
                "CREATION_PAUSED is \"(its text)\"; allowed: one line of at most 500 characters",
                "ADMIN_GROUP is \"a b\"; allowed: the name of one group, without spaces, commas and brackets",
                "GITHUB_KEYS_URL is \"api.github.com\"; allowed: an http or https address of at most 200 ASCII characters",
                "GITLAB_TOKEN_SHA256 is \"(its text)\"; allowed: SHA-256 as 64 hexadecimal digits",
                "REGISTRY_URL is \"registry.example\"; allowed: an http or https address such as \
                 https://registry.example, of letters, digits and .:/_~-",
                "REGISTRY_CLIENTS is \"emacs\"; allowed: NAME or NAME=PATH, apart by commas; names: curl, cargo, npm, \
                 pnpm, yarn, pip, uv, twine, docker, skopeo, helm, maven, gradle, nuget, gem, composer, go, requests, \
                 httr2, powershell",
            ]
        );
    }
}
