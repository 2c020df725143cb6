//! A token's text: what is taken is what the form says, by a second reading of it, and nothing shows the secret.

#![no_main]

use latchkey::token::{Prefix, Token, is_in};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    check(text);
    // No mutation finds a checksum: here it is put right.
    if let Some(at) = text.len().checked_sub(6)
        && let Some(body) = text.get(..at)
    {
        check(&format!("{body}{}", checksum(body)));
    }
});

fn check(text: &str) {
    let parsed = text.parse::<Token>();
    assert_eq!(parsed.is_ok(), is_token(text), "{text}");
    let _ = is_in(text);
    let Ok(token) = parsed else { return };
    let (prefix, _) = text.split_once('_').expect("a prefix");
    let id = token.id();
    assert_eq!(token.expose(), text);
    assert_eq!(text, format!("{prefix}_{id}_{}", &text[prefix.len() + 45..]));
    assert_eq!(id.as_str().parse(), Ok(id));
    assert!(token.has_prefix(&prefix.parse().expect("a prefix")));
    assert_eq!(token.has_prefix(&Prefix::default()), prefix == "lk");
    assert!(is_in(text) && is_in(&format!("({text})")));
    let shown = format!("{token:?} {:?}", token.hash());
    assert!(!shown.contains(&text[prefix.len() + 45..]));
    // A change of one character is seen.
    let other = if text.ends_with('0') { "1" } else { "0" };
    assert!(format!("{}{other}", &text[..text.len() - 1]).parse::<Token>().is_err());
}

/// The form as shared/src/token.rs draws it.
fn is_token(text: &str) -> bool {
    let pieces: Vec<&str> = text.split('_').collect();
    let [prefix, id, tail] = pieces.as_slice() else { return false };
    let lower = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let ulid = |c: char| "0123456789ABCDEFGHJKMNPQRSTVWXYZ".contains(c);
    (2..=10).contains(&prefix.len())
        && prefix.starts_with(|c: char| c.is_ascii_lowercase())
        && prefix.chars().all(lower)
        && id.chars().all(|c| c.is_ascii_alphanumeric())
        && id.len() == 43
        && id[17..].chars().all(ulid)
        && id[17..18] <= *"7"
        && tail.len() == 49
        && tail.chars().all(|c| c.is_ascii_alphanumeric())
        && tail.ends_with(&checksum(&text[..text.len() - 6]))
}

/// CRC-32 bit by bit, in base 62.
fn checksum(body: &str) -> String {
    let mut crc = u32::MAX;
    for byte in body.bytes() {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    let digits: Vec<char> = ('0'..='9').chain('A'..='Z').chain('a'..='z').collect();
    (0..6).rev().map(|place| digits[(u64::from(!crc) / 62u64.pow(place) % 62) as usize]).collect()
}
