//! What Latchkey is to do, said as plainly as it can be: slowly, in memory, without a line of its own code.
//!
//! Times are whole seconds since the epoch. Paths are compared segment by segment.

use std::net::{IpAddr, Ipv6Addr};

const DAY: i64 = 86_400;

/// The most secrets that a token remembers beside the one that it has.
const REMEMBERED: usize = 10;

/// How long a deployment lets a token live.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub max_days: i64,
    pub may_never_end: bool,
}

impl Bounds {
    /// The last second that a token may have which gets its secret now: the end of a day, UTC.
    pub fn latest(&self, now: i64) -> i64 {
        let day = (now + self.max_days * DAY) / DAY;
        day * DAY + DAY - 1
    }
}

/// A token, and all that is known of it.
#[derive(Clone, Debug)]
pub struct Token {
    pub id: String,
    pub owner: String,
    pub name: String,
    pub scopes: Vec<String>,
    pub blocks: Vec<String>,
    pub made: i64,
    pub rotated: Option<i64>,
    pub ends: Option<i64>,
    /// When and by whom.
    pub revoked: Option<(i64, &'static str)>,
    /// Whole tokens; the last is the one that it has.
    pub secrets: Vec<String>,
    /// The secret before is good before this second.
    pub overlap_ends: Option<i64>,
}

/// A request to the registry.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: &'static str,
    pub path: String,
    pub from: IpAddr,
}

/// What becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// 401
    Nobody,
    Revoked,
    Expired,
    /// The secret is one that the token had.
    Rotated,
    Foreign,
    TooNarrow,
    Granted,
}

impl Token {
    pub fn issued(&self) -> i64 {
        self.rotated.unwrap_or(self.made)
    }

    /// Its last second; `None`: it never ends.
    pub fn end(&self, bounds: Bounds) -> Option<i64> {
        let latest = bounds.latest(self.issued());
        match self.ends {
            Some(ends) if ends < latest => Some(ends),
            Some(_) => Some(latest),
            None if bounds.may_never_end => None,
            None => Some(latest),
        }
    }

    pub fn status(&self, now: i64, bounds: Bounds) -> &'static str {
        if self.revoked.is_some() {
            return "revoked";
        }
        match self.end(bounds) {
            Some(end) if now > end => "expired",
            _ => "active",
        }
    }

    /// What this secret is worth for whatever is asked; `None`: it opens what the token grants.
    pub fn refusal(&self, secret: &str, now: i64, bounds: Bounds) -> Option<Answer> {
        let Some(age) = self.secrets.iter().rev().position(|known| known == secret) else {
            return Some(Answer::Nobody);
        };
        if age > REMEMBERED {
            return Some(Answer::Nobody);
        }
        match self.status(now, bounds) {
            "revoked" => return Some(Answer::Revoked),
            "expired" => return Some(Answer::Expired),
            _ => {}
        }
        let overlaps = age == 1 && self.overlap_ends.is_some_and(|end| now < end);
        if age == 0 || overlaps { None } else { Some(Answer::Rotated) }
    }

    pub fn answer(&self, secret: &str, asked: &Request, now: i64, bounds: Bounds) -> Answer {
        if let Some(refusal) = self.refusal(secret, now, bounds) {
            return refusal;
        }
        if !self.blocks.is_empty() && !self.blocks.iter().any(|block| is_in(asked.from, block)) {
            return Answer::Foreign;
        }
        if grant(&self.scopes, asked.method, &asked.path) { Answer::Granted } else { Answer::TooNarrow }
    }
}

/// Whether an address is in a block: of both, the same bits come first.
fn is_in(address: IpAddr, block: &str) -> bool {
    let (first, length) = block.split_once('/').unwrap();
    let (address, first) = (bits(address), bits(first.parse().unwrap()));
    address.len() == first.len() && address.iter().zip(&first).take(length.parse().unwrap()).all(|(a, b)| a == b)
}

fn bits(address: IpAddr) -> Vec<bool> {
    let bytes = match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        // What an IPv4 address is called where all have 128 bits.
        IpAddr::V6(address) => match address.segments() {
            [0, 0, 0, 0, 0, 0xffff, _, _] => address.octets()[12..].to_vec(),
            _ => Ipv6Addr::octets(&address).to_vec(),
        },
    };
    bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1 == 1)).collect()
}

/// Whether scopes let a request pass.
pub fn grant(scopes: &[String], method: &str, path: &str) -> bool {
    let segments: Vec<&str> = path.strip_prefix('/').unwrap().split('/').collect();
    let needs_write = match method {
        "GET" | "HEAD" | "OPTIONS" => false,
        "POST" if signs_in(&segments) => return false,
        "POST" => ![
            "-/npm/v1/security/advisories/bulk",
            "-/npm/v1/security/audits",
            "-/npm/v1/security/audits/quick",
            "git-upload-pack",
        ]
        .iter()
        .any(|read| ends(&segments, read)),
        "PUT" | "PATCH" | "DELETE" => true,
        _ => return false,
    };
    if is_odd(&segments) {
        return false;
    }
    let meant = meant(&segments);
    scopes.iter().any(|scope| {
        let (action, resource) = scope.split_once(':').unwrap();
        (action == "write" || !needs_write) && covers(resource, &meant)
    })
}

/// Whether a path ends as those do that clients sign in at, or so and with a slash.
fn signs_in(segments: &[&str]) -> bool {
    let named = segments.strip_suffix(&[""]).unwrap_or(segments);
    ends(named, "-/v1/login") || ends(named, "api/v1/api_key")
}

/// Whether the last segments are these.
fn ends(segments: &[&str], last: &str) -> bool {
    segments.ends_with(&last.split('/').collect::<Vec<_>>())
}

/// Whether an upstream that decodes or tidies a path might take it for another.
fn is_odd(segments: &[&str]) -> bool {
    let last = segments.len() - 1;
    segments.iter().enumerate().any(|(i, segment)| {
        let small = segment.to_ascii_lowercase();
        let pieces: Vec<&str> = small.split("%2f").collect();
        let dots = segment.starts_with("..") || small == "." || small.starts_with(".;") || small.starts_with(".%");
        let empty = segment.is_empty() && i < last;
        let encoded = ["\\", "%2e", "%5c", "%25", "%00"].iter().any(|odd| small.contains(odd));
        // An encoded slash stands between two names, or last of all.
        let slash = pieces.iter().enumerate().skip(1).any(|(at, piece)| {
            let closes = piece.is_empty() && at == pieces.len() - 1 && i == last;
            pieces[at - 1].is_empty() || piece.starts_with(['.', '%']) || (piece.is_empty() && !closes)
        });
        dots || empty || encoded || slash
    })
}

/// As the registry reads them: npm's clients write `@scope%2fname` for `@scope/name`.
fn meant(segments: &[&str]) -> Vec<String> {
    let mut meant = vec![];
    let mut scope_seen = false;
    for segment in segments {
        let slash = segment.find("%2f").into_iter().chain(segment.find("%2F")).min();
        match slash {
            Some(at) if segment.starts_with('@') && !scope_seen => {
                meant.extend([segment[..at].to_owned(), segment[at + 3..].to_owned()]);
            }
            _ => meant.push(segment.to_string()),
        }
        scope_seen |= segment.starts_with('@');
    }
    meant
}

/// Whether a path, or another resource, lies within this resource.
fn covers(resource: &str, segments: &[String]) -> bool {
    let own: Vec<&str> = resource.split('/').collect();
    let (last, folders) = own.split_last().unwrap();
    let Some(beginning) = last.strip_suffix('*') else { return own == segments };
    segments.len() >= own.len()
        && segments.iter().zip(folders).all(|(segment, folder)| segment == folder)
        && segments[folders.len()].starts_with(beginning)
}

/// Whether all that a scope grants is granted by one of these.
pub fn include(scopes: &[String], wished: &str) -> bool {
    let (wished_action, wished_resource) = wished.split_once(':').unwrap();
    let segments: Vec<String> = wished_resource.split('/').map(str::to_owned).collect();
    scopes.iter().any(|scope| {
        let (action, resource) = scope.split_once(':').unwrap();
        (action == "write" || wished_action == "read") && covers(resource, &segments)
    })
}
