//! Watches every line that any test makes the system log and every answer that it gives: a token is in one answer, the
//! one that shows it, and in no line. Whoever ends a [`Watched`] hears of what was seen until then.

use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use latchkey::token::Token;
use std::collections::HashSet;
use std::sync::{LazyLock, Mutex};

/// Characters of a secret, and of every piece that is compared.
const PIECE: usize = 43;
/// Characters of a token with the shortest prefix, and with the longest.
const TOKEN: std::ops::RangeInclusive<usize> = 96..=104;

static WATCH: LazyLock<Mutex<Watch>> = LazyLock::new(Mutex::default);

/// Held by each stack: fails its test if anything has leaked by then.
pub struct Watched;

impl Drop for Watched {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(leaks(), [] as [&str; 0]);
        }
    }
}

/// What has leaked so far.
pub fn leaks() -> Vec<String> {
    WATCH.lock().unwrap().leaks.clone()
}

/// A line goes into the log.
pub fn logged(line: &[u8]) {
    WATCH.lock().unwrap().logged(&String::from_utf8_lossy(line));
}

/// An answer came, with these headers and this body.
pub fn answered(answer: &str) {
    WATCH.lock().unwrap().answered(answer);
}

/// This token is known to a test, and should be to no line.
pub fn know(token: &str) {
    WATCH.lock().unwrap().know(token);
}

/// As [`know`], of a session.
pub fn know_session(session: &str) {
    // One piece will do: whatever holds a session holds its whole signature. An issuer may hand it out twice.
    let signature = session.rsplit('.').next().unwrap_or_default();
    if let Some(piece) = pieces(signature).next() {
        WATCH.lock().unwrap().sessions.insert(piece.into());
    }
}

/// Whether a text holds a token that any test knows, or a part of one that tells its secret.
pub fn is_known_in(text: &str) -> bool {
    let watch = WATCH.lock().unwrap();
    pieces(text).any(|piece| watch.secrets.contains(piece)) || tokens(text).next().is_some()
}

#[derive(Default)]
struct Watch {
    /// Every piece of a secret: as it is, and in Base64 behind any number of characters.
    secrets: HashSet<String>,
    sessions: HashSet<String>,
    /// Every piece of a long word that was logged: a line can come before the answer that shows the token.
    logged: HashSet<String>,
    leaks: Vec<String>,
}

impl Watch {
    fn logged(&mut self, line: &str) {
        let known = pieces(line).any(|piece| self.secrets.contains(piece) || self.sessions.contains(piece));
        if known || tokens(line).next().is_some() {
            self.leaks.push(format!("a log line holds a secret: {line}"));
        }
        self.logged.extend(pieces(line).map(str::to_owned));
    }

    fn answered(&mut self, answer: &str) {
        if pieces(answer).any(|piece| self.secrets.contains(piece)) {
            self.leaks.push(format!("an answer repeats a secret: {answer}"));
        }
        for token in tokens(answer).collect::<HashSet<_>>() {
            self.know(token);
        }
    }

    fn know(&mut self, token: &str) {
        let secret = secret(token);
        // Where a piece begins among the groups of three bytes is one of three cases; characters that also tell of what
        // stands before it are left out.
        for (before, skip) in [(0, 0), (1, 2), (2, 3)] {
            let encoded = BASE64_STANDARD_NO_PAD.encode(format!("{:before$}{secret}", ""));
            self.keep_secret(&encoded[skip..skip + PIECE]);
        }
        self.keep_secret(secret);
    }

    fn keep_secret(&mut self, piece: &str) {
        if self.logged.contains(piece) {
            self.leaks.push(format!("a log line held {piece} before it was known"));
        }
        self.secrets.insert(piece.into());
    }
}

fn secret(token: &str) -> &str {
    &token[token.len() - PIECE - 6..token.len() - 6]
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| word.len() >= PIECE)
}

/// Every run of [`PIECE`] characters of long words.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    words(text).flat_map(|word| (0..=word.len() - PIECE).map(move |at| &word[at..at + PIECE]))
}

/// Everything that is a token, of whatever deployment, with a checksum that fits.
fn tokens(text: &str) -> impl Iterator<Item = &str> {
    let places = words(text).flat_map(|word| (0..word.len()).map(move |at| &word[at..]));
    places.flat_map(|from| TOKEN.filter_map(|length| from.get(..length))).filter(|text| text.parse::<Token>().is_ok())
}

/// What the watch itself is worth: without these it could see nothing and say so.
mod tests {
    use super::*;
    use latchkey::clock::Timestamp;
    use latchkey::id::OwnerKey;

    fn mint() -> String {
        let owner = OwnerKey::of("https://issuer.example", "watched");
        Token::mint(&"lk".parse().unwrap(), owner, Timestamp::from_secs(1_800_000_000)).unwrap().expose().into()
    }

    #[test]
    fn a_token_that_nobody_knows_of_is_seen_in_a_line_by_its_checksum() {
        let mut watch = Watch::default();
        let token = mint();
        watch.logged(&format!("GET /t/{}/x", &token[..95]));
        assert_eq!(watch.leaks.len(), 0, "no token yet");
        watch.logged(&format!("GET /t/x_{token}1/x"));
        assert_eq!(watch.leaks.len(), 1);
    }

    #[test]
    fn a_secret_is_seen_in_a_line_before_and_after_it_is_shown_and_in_base64() {
        for before in ["", "u:", "__token__:", "user:"] {
            let token = mint();
            let line = format!("Basic {}", BASE64_STANDARD_NO_PAD.encode(format!("{before}{token}")));
            for line in [format!("secret={}", secret(&token)), line] {
                let (mut after, mut earlier) = (Watch::default(), Watch::default());
                after.know(&token);
                after.logged(&line);
                earlier.logged(&line);
                earlier.know(&token);
                assert_eq!((after.leaks.len(), earlier.leaks.len()), (1, 1), "{before}");
            }
        }
    }

    #[test]
    fn an_answer_may_show_a_new_token_and_no_other_may_repeat_it() {
        let mut watch = Watch::default();
        let token = mint();
        watch.answered(&format!("{{\"token\": \"{token}\", \"usage\": \"curl -H {token}\"}}"));
        assert_eq!(watch.leaks.len(), 0);
        watch.answered(&format!("{{\"given\": \"{}\"}}", secret(&token)));
        assert_eq!(watch.leaks.len(), 1);
    }
}
