//! A block of addresses: the first line of input is one, the second an address.

#![no_main]

use latchkey::source::{Block, BlockError, SourceAddresses};
use libfuzzer_sys::fuzz_target;
use std::net::IpAddr;

fuzz_target!(|text: &str| {
    let (block, address) = text.split_once('\n').unwrap_or((text, ""));
    let parsed = match block.parse::<Block>() {
        Ok(parsed) => parsed,
        Err(BlockError::NotTheFirst(meant)) => {
            assert_eq!(meant.to_string().parse(), Ok(meant), "what is proposed is taken");
            return;
        }
        Err(BlockError::Form | BlockError::Bits) => return,
    };
    let written = parsed.to_string();
    assert_eq!(written.parse(), Ok(parsed));
    let (first, bits) = written.split_once('/').expect("a slash");
    let (first, bits): (IpAddr, u32) = (first.parse().expect("an address"), bits.parse().expect("bits"));
    assert!(parsed.contains(first));
    let Ok(address) = address.parse::<IpAddr>() else { return };
    // A second reading, on the left-most bits of both.
    let same = match (first, address.to_canonical()) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros() >= bits,
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros() >= bits,
        _ => false,
    };
    assert_eq!(parsed.contains(address), same, "{parsed} {address}");
    assert_eq!(SourceAddresses::new([parsed, parsed]).expect("one block").admit(address), same);
});
