//! What a client calls itself: a short plain word that cannot be a token, since it is stored and shown.

#![no_main]

use latchkey::last_use::client;
use latchkey_fuzz::assert_no_token_in;
use latchkey_fuzz::sample::ACTIVE;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let text = text.replace("{1}", ACTIVE);
    let Some(name) = client(&text) else { return };
    assert!(text.starts_with(&name) && (1..=64).contains(&name.len()));
    assert!(name.bytes().all(|b| b.is_ascii_graphic() && !b"\"'\\<>`&;,()".contains(&b)), "{name}");
    assert_no_token_in(&name);
    assert_eq!(client(&name), Some(name.clone()));
});
