//! What a token may do: scopes, `action:resource`.

use crate::path::{self, Pattern};
use std::fmt;
use std::str::FromStr;

/// The most scopes a token can have.
pub const MAX_SCOPES: usize = 50;
/// The most characters a resource can have.
pub const MAX_RESOURCE: usize = 200;

/// Methods that read. Every other method that a gateway passes writes.
pub const READING: [&str; 3] = ["GET", "HEAD", "OPTIONS"];
/// Methods that write.
pub const WRITING: [&str; 4] = ["PUT", "POST", "PATCH", "DELETE"];

/// What is done to a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Look at it.
    Read,
    /// Change it. Implies [`Action::Read`]: cargo, npm, maven and container clients all read while they publish.
    Write,
}

impl Action {
    /// The word in a scope.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }

    fn implies(self, other: Self) -> bool {
        self == Self::Write || other == Self::Read
    }
}

/// A path of the registry without its leading `/`, with at most one wildcard, a `*` at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    text: String,
    patterns: Vec<Pattern>,
}

impl Resource {
    /// As a scope has it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The paths it stands for, as requests write them. npm and its like send `@scope/name` as `@scope%2fname`, so the
    /// slash behind the first segment that begins with `@` may be either.
    pub fn patterns(&self) -> &[Pattern] {
        &self.patterns
    }

    /// Whether every path of the other is one of its.
    fn covers(&self, other: &Self) -> bool {
        match (self.text.strip_suffix('*'), other.text.strip_suffix('*')) {
            (Some(open), _) => other.text.starts_with(open),
            (None, None) => self.text == other.text,
            (None, Some(_)) => false,
        }
    }

    /// Made once, since every request is held against them.
    fn new(text: &str) -> Self {
        let (literal, after) = match text.strip_suffix('*') {
            Some(literal) => (format!("/{literal}"), Some("")),
            None => (format!("/{text}"), None),
        };
        let mut patterns = vec![];
        let scoped = literal.split_once("/@").and_then(|(before, rest)| Some((before, rest.split_once('/')?)));
        if let Some((before, (scope, rest))) = scoped {
            patterns.extend(["%2f", "%2F"].map(|slash| Pattern::new(format!("{before}/@{scope}{slash}{rest}"), after)));
        }
        patterns.push(Pattern::new(literal, after));
        Self { text: text.into(), patterns }
    }
}

/// One permission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// What may be done.
    pub action: Action,
    /// To what.
    pub resource: Resource,
}

/// What is wrong with a text that should be a scope; each says what is allowed instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScopeError {
    /// Neither `read` nor `write` before the colon.
    Action,
    /// Nothing behind the colon, or more than 200 characters.
    Length,
    /// A `/` at the start.
    LeadingSlash,
    /// A `*` that is not at the end.
    Wildcard,
    /// A character that no resource has.
    Character,
    /// An empty, `.` or `..` segment.
    Segment,
}

impl fmt::Display for ScopeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Action => "a scope is read:PATH or write:PATH; read and write alone mean every path",
            Self::Length => "the path of a scope has 1 to 200 characters",
            Self::LeadingSlash => "the path of a scope begins without a slash",
            Self::Wildcard => "the path of a scope may have one *, at its end",
            Self::Character => "the path of a scope is made of A-Z a-z 0-9 @ . _ ~ + / - and a * at its end",
            Self::Segment => "the path of a scope has no empty, . or .. segment",
        })
    }
}

impl std::error::Error for ScopeError {}

impl FromStr for Scope {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        let (action, resource) = text.split_once(':').unwrap_or((text, "*"));
        let action = match action {
            "read" => Action::Read,
            "write" => Action::Write,
            _ => return Err(ScopeError::Action),
        };
        Ok(Self { action, resource: resource.parse()? })
    }
}

impl FromStr for Resource {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        if !(1..=MAX_RESOURCE).contains(&text.len()) {
            return Err(ScopeError::Length);
        }
        let literal = text.strip_suffix('*').unwrap_or(text);
        if literal.contains('*') {
            return Err(ScopeError::Wildcard);
        }
        if !literal.bytes().all(|b| b.is_ascii_alphanumeric() || b"@._~+/-".contains(&b)) {
            return Err(ScopeError::Character);
        }
        if literal.starts_with('/') {
            return Err(ScopeError::LeadingSlash);
        }
        // Behind the last slash anything goes but a dot segment: nothing, if the resource is a folder.
        let folder = text.strip_suffix('/').unwrap_or(text);
        if folder.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
            return Err(ScopeError::Segment);
        }
        Ok(Self::new(text))
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.action.as_str())?;
        f.write_str(":")?;
        f.write_str(self.resource.as_str())
    }
}

impl serde::Serialize for Scope {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// POSTs that open a session (`npm login`, `gem signin`), by the ends of their paths. No token may: what they hand out
/// would be a credential that nobody sees in a list, and a token is to be used as it is.
pub const OPENING_SESSIONS: [&str; 4] = ["/-/v1/login", "/-/v1/login/", "/api/v1/api_key", "/api/v1/api_key/"];

/// Whether a request would open a session.
pub fn opens_session(method: &str, path: &str) -> bool {
    method == "POST" && OPENING_SESSIONS.iter().any(|end| path.ends_with(end))
}

/// The reads that clients send as POST.
#[derive(Clone, Debug)]
pub struct ReadByPost(Vec<Pattern>);

/// What every deployment has, wherever in it a registry is mounted: npm's audit (which `npm install` sends by itself),
/// and fetching from git. Not PyPI's XML-RPC search at `…/pypi`, which hardly anything serves any more: Gitea and GitLab
/// take uploads at addresses that end so.
const READS_BY_POST: [&str; 4] = [
    "*/-/npm/v1/security/advisories/bulk",
    "*/-/npm/v1/security/audits",
    "*/-/npm/v1/security/audits/quick",
    "*/git-upload-pack",
];

impl Default for ReadByPost {
    fn default() -> Self {
        Self(READS_BY_POST.iter().filter_map(|text| Self::pattern(text).ok()).collect())
    }
}

impl ReadByPost {
    /// A path with its leading `/` and at most one `*` anywhere, or one that begins with that `*`.
    fn pattern(text: &str) -> Result<Pattern, ScopeError> {
        let (before, after) = match text.split_once('*') {
            Some((before, after)) => (before, Some(after)),
            None => (text, None),
        };
        let mut literals = before.chars().chain(after.unwrap_or_default().chars());
        if !text.starts_with(['/', '*']) || text.len() > MAX_RESOURCE {
            Err(ScopeError::Length)
        } else if after.is_some_and(|after| after.contains('*')) {
            Err(ScopeError::Wildcard)
        } else if !literals.all(|c| c.is_ascii_alphanumeric() || "@._~+/-%".contains(c)) {
            Err(ScopeError::Character)
        } else {
            Ok(Pattern::new(before, after))
        }
    }

    /// One more (see `READ_BY_POST`).
    pub fn add(&mut self, text: &str) -> Result<(), ScopeError> {
        self.0.push(Self::pattern(text)?);
        Ok(())
    }

    /// The patterns.
    pub fn patterns(&self) -> &[Pattern] {
        &self.0
    }

    /// What a request needs; `None` for one that no token may make.
    pub fn needs(&self, method: &str, path: &str) -> Option<Action> {
        if opens_session(method, path) {
            None
        } else if READING.contains(&method) || (method == "POST" && self.0.iter().any(|pattern| pattern.matches(path)))
        {
            Some(Action::Read)
        } else {
            WRITING.contains(&method).then_some(Action::Write)
        }
    }
}

/// All that a token grants: 1 to 50 different scopes. Nothing else is.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(transparent)]
pub struct Scopes(Vec<Scope>);

impl Scopes {
    /// From 1 to 50 scopes; what is named twice is kept once. `None` for fewer or more.
    pub fn new(scopes: impl IntoIterator<Item = Scope>) -> Option<Self> {
        let mut kept = vec![];
        for scope in scopes {
            if !kept.contains(&scope) {
                kept.push(scope);
            }
        }
        (1..=MAX_SCOPES).contains(&kept.len()).then_some(Self(kept))
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Scope> {
        self.0.iter()
    }

    /// Whether all that a scope grants is granted already by one of these.
    pub fn cover(&self, scope: &Scope) -> bool {
        self.0.iter().any(|own| own.action.implies(scope.action) && own.resource.covers(&scope.resource))
    }

    /// Whether anything can be read or written below a path, such as `npm/`; all paths are below the empty one.
    pub fn reach(&self, action: Action, below: &str) -> bool {
        self.0.iter().any(|scope| {
            let resource = scope.resource.as_str();
            let open = resource.strip_suffix('*').is_some_and(|start| below.starts_with(start));
            scope.action.implies(action) && (open || resource.starts_with(below))
        })
    }

    /// Whether a request may pass. `path` runs from its `/` to before the query, as it was sent.
    pub fn allow(&self, method: &str, path: &str, read_by_post: &ReadByPost) -> bool {
        let Some(needed) = read_by_post.needs(method, path) else { return false };
        path::is_plain(path)
            && self.0.iter().any(|scope| {
                scope.action.implies(needed) && scope.resource.patterns().iter().any(|pattern| pattern.matches(path))
            })
    }
}

impl fmt::Display for Scopes {
    /// As OAuth writes them (RFC 6749, section 3.3): apart by spaces.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, scope) in self.0.iter().enumerate() {
            f.write_str(if i == 0 { "" } else { " " })?;
            fmt::Display::fmt(scope, f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn scopes(texts: &[&str]) -> Scopes {
        Scopes::new(texts.iter().map(|text| text.parse().unwrap())).unwrap()
    }

    fn allow(texts: &[&str], method: &str, path: &str) -> bool {
        scopes(texts).allow(method, path, &ReadByPost::default())
    }

    #[test]
    fn read_and_write_alone_mean_every_path() {
        assert_eq!(scopes(&["read", "write"]).to_string(), "read:* write:*");
        assert!(allow(&["read"], "GET", "/"));
        assert!(allow(&["read"], "HEAD", "/any/path"));
        assert!(!allow(&["read"], "PUT", "/any/path"));
    }

    #[test]
    fn write_implies_read_on_the_same_resource_alone() {
        assert!(allow(&["write:npm/@acme/*"], "GET", "/npm/@acme/x"));
        assert!(allow(&["write:npm/@acme/*"], "DELETE", "/npm/@acme/x"));
        assert!(!allow(&["write:npm/@acme/*"], "GET", "/npm/other"));
        assert!(!allow(&["write:npm/@acme/*", "read:pypi/*"], "PUT", "/pypi/simple/"));
    }

    #[test]
    fn nothing_granted_is_denied_and_no_prefix_reaches_past_its_slash() {
        assert!(!allow(&["read:npm/*"], "GET", "/npm"));
        assert!(!allow(&["read:npm/*"], "GET", "/npmx/y"));
        assert!(!allow(&["read:npm"], "GET", "/npm/"));
        assert!(!allow(&["read:npm/*"], "GET", "/x/npm/y"));
        assert!(!allow(&["write"], "TRACE", "/x"));
        assert!(!allow(&["write"], "get", "/x"));
    }

    #[test]
    fn the_slash_of_an_npm_scope_may_be_encoded() {
        assert!(allow(&["write:npm/@acme/*"], "PUT", "/npm/@acme%2fx"));
        assert!(allow(&["read:@acme/x"], "GET", "/@acme%2Fx"));
        assert!(!allow(&["read:npm/@acme/*"], "GET", "/npm/@acme%2f..%2f..%2fother"));
        assert!(!allow(&["read:npm/acme/*"], "GET", "/npm/acme%2fx"));
    }

    #[test]
    fn reads_that_clients_send_as_post_need_read() {
        let audit = "/npm/-/npm/v1/security/advisories/bulk";
        assert!(allow(&["read:npm/*"], "POST", audit));
        assert!(allow(&["read"], "POST", "/-/npm/v1/security/audits/quick"));
        assert!(!allow(&["read:pypi/*"], "POST", audit));
        assert!(!allow(&["read"], "POST", "/-/npm/v1/security/other"));
        assert!(!allow(&["read"], "PUT", audit));
        let mut more = ReadByPost::default();
        more.add("/search").unwrap();
        assert!(scopes(&["read"]).allow("POST", "/search", &more));
        assert!(more.add("search").is_err() && more.add("/a*b*").is_err() && more.add("/a?").is_err());
    }

    #[test]
    fn no_token_opens_a_session() {
        assert!(!allow(&["write"], "POST", "/npm/-/v1/login"));
        assert!(!allow(&["write"], "POST", "/api/v1/api_key"));
        let mut more = ReadByPost::default();
        more.add("*/-/v1/login").unwrap();
        assert!(!scopes(&["read"]).allow("POST", "/-/v1/login", &more), "whatever a deployment says");
        assert!(allow(&["write"], "GET", "/-/v1/login"));
    }

    #[test]
    fn what_is_narrower_is_covered_and_nothing_else() {
        let covers = |own: &[&str], other: &str| scopes(own).cover(&other.parse().unwrap());
        for other in [
            "read:npm/*",
            "read:npm/x",
            "read:npm/@acme/*",
            "write:npm/@acme/*",
            "read:npm/@acme/x",
            "write:npm/@acme/x",
        ] {
            assert!(covers(&["read:npm/*", "write:npm/@acme/*"], other), "{other}");
        }
        for other in ["write:npm/*", "read:np*", "read:npm", "read:*", "write:npm/x", "read:pypi/*", "write:npm/@acme*"]
        {
            assert!(!covers(&["read:npm/*", "write:npm/@acme/*"], other), "{other}");
        }
        assert!(!covers(&["read:npm"], "read:npm*") && covers(&["read:npm*"], "read:npm"));
    }

    proptest! {
        #[test]
        fn a_covered_scope_allows_nothing_more(
            own in "(read|write):(npm/|@a/|x|a)(b/|@a/|x)?[*]?", other in "(read|write):(npm/|@a/|x|a)(b/|@a/|x)?[*]?",
            path in "/(npm/|@a/|@a%2f|x|a)(b/|@a/|@a%2f|x)?(c|/)?", writes: bool,
        ) {
            let (Ok(_), Ok(narrow)) = (own.parse::<Scope>(), other.parse::<Scope>()) else { return Ok(()) };
            let method = if writes { "PUT" } else { "GET" };
            if scopes(&[&own]).cover(&narrow) && allow(&[&other], method, &path) {
                prop_assert!(allow(&[&own], method, &path), "{} {} {}", own, other, path);
            }
        }
    }

    #[test]
    fn scopes_reach_below_a_path_where_they_grant_anything_there() {
        let reach = |text: &str, action, below| scopes(&[text]).reach(action, below);
        for (text, below) in
            [("read:npm/*", "npm/"), ("read:npm/@acme/x", "npm/"), ("read:n*", "npm/"), ("read", "npm/")]
        {
            assert!(reach(text, Action::Read, below) && reach(text, Action::Read, ""), "{text}");
            assert!(!reach(text, Action::Write, below), "{text}");
        }
        assert!(reach("write:npm/*", Action::Read, "npm/"));
        for text in ["read:npm", "read:npmx/*", "read:pypi/*"] {
            assert!(!reach(text, Action::Read, "npm/"), "{text}");
        }
    }

    #[test]
    fn a_wrong_scope_says_what_is_wrong() {
        let error = |text: &str| text.parse::<Scope>().unwrap_err();
        assert_eq!(error("admin:*"), ScopeError::Action);
        assert_eq!(error("Read:*"), ScopeError::Action);
        assert_eq!(error(""), ScopeError::Action);
        assert_eq!(error("read:"), ScopeError::Length);
        assert_eq!(error(&format!("read:{}", "a".repeat(201))), ScopeError::Length);
        assert_eq!(error("read:/npm"), ScopeError::LeadingSlash);
        assert_eq!(error("read:*/x"), ScopeError::Wildcard);
        assert_eq!(error("read:npm/**"), ScopeError::Wildcard);
        assert_eq!(error("read:npm/?"), ScopeError::Character);
        assert_eq!(error("read:npm/${aws:username}"), ScopeError::Character);
        assert_eq!(error("read:npm/%2e"), ScopeError::Character);
        assert_eq!(error("read:ոpm/*"), ScopeError::Character);
        assert_eq!(error("read:a:b"), ScopeError::Character);
        assert_eq!(error("read:npm//x"), ScopeError::Segment);
        assert_eq!(error("read:npm/../x"), ScopeError::Segment);
        assert_eq!(error("read:npm/."), ScopeError::Segment);
        assert_eq!(error("read:npm/../"), ScopeError::Segment);
    }

    #[test]
    fn a_token_has_1_to_50_different_scopes() {
        let many = |n: usize| (0..n).map(|i| format!("read:p{i}").parse().unwrap()).collect::<Vec<Scope>>();
        assert!(Scopes::new(many(0)).is_none());
        assert!(Scopes::new(many(51)).is_none());
        assert_eq!(Scopes::new(many(50).into_iter().chain(many(50))).unwrap().iter().count(), 50);
    }

    proptest! {
        #[test]
        fn any_scope_that_is_read_is_written_the_same(action in "read|write", path in "[a-zA-Z0-9@._~+/-]{1,40}\\*?") {
            let text = format!("{action}:{path}");
            if let Ok(scope) = text.parse::<Scope>() {
                prop_assert_eq!(scope.to_string(), text);
            }
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in ".{0,220}") {
            let _ = text.parse::<Scope>();
        }
    }
}
