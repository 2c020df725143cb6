//! From where a token may be used: blocks of addresses, in CIDR notation (RFC 4632, RFC 4291).

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// The most blocks a token can be bound to.
pub const MAX_BLOCKS: usize = 20;

/// A block of addresses: `203.0.113.0/24`, `2001:db8::/32`, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    address: IpAddr,
    prefix: u8,
}

/// What is wrong with a text that should be a block; each says what is allowed instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockError {
    /// Neither an address nor an address, a slash and a number of bits.
    Form,
    /// More bits than an address of its kind has.
    Bits,
    /// The address is not the block's first: which block was meant is a guess.
    NotTheFirst(Block),
}

impl fmt::Display for BlockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form => f.write_str("an address or a block such as 203.0.113.0/24 or 2001:db8::/32"),
            Self::Bits => f.write_str("at most 32 bits behind the slash for IPv4, 128 for IPv6"),
            Self::NotTheFirst(block) => write!(f, "a block by its first address: {block}"),
        }
    }
}

impl std::error::Error for BlockError {}

impl FromStr for Block {
    type Err = BlockError;

    fn from_str(text: &str) -> Result<Self, BlockError> {
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().map_err(|_| BlockError::Form)?;
        let most = width(address);
        let prefix = match bits {
            None => most,
            Some(bits) if !bits.is_empty() && bits.bytes().all(|b| b.is_ascii_digit()) => {
                bits.parse().ok().filter(|bits| *bits <= most).ok_or(BlockError::Bits)?
            }
            Some(_) => return Err(BlockError::Form),
        };
        // An IPv4 address in IPv6's clothes would never be met: requests come from its plain form.
        if address.to_canonical() != address {
            return Err(BlockError::Form);
        }
        let block = Self { address: masked(address, prefix), prefix };
        if block.address == address { Ok(block) } else { Err(BlockError::NotTheFirst(block)) }
    }
}

impl Block {
    /// Whether an address is in it. An IPv4 address mapped into IPv6 counts as the IPv4 address that it is.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        width(address) == width(self.address) && masked(address, self.prefix) == self.address
    }
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl serde::Serialize for Block {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// The address with all but its first `prefix` bits cleared.
fn masked(address: IpAddr, prefix: u8) -> IpAddr {
    let cleared = u32::from(width(address).saturating_sub(prefix));
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(cleared).unwrap_or(0);
            IpAddr::V4((address.to_bits() & mask).into())
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(cleared).unwrap_or(0);
            IpAddr::V6((address.to_bits() & mask).into())
        }
    }
}

/// Where a token may be used from: anywhere, or up to 20 blocks.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(transparent)]
pub struct SourceAddresses(Vec<Block>);

impl SourceAddresses {
    /// Up to 20 blocks, none for anywhere; what is named twice is kept once. `None` for more.
    pub fn new(blocks: impl IntoIterator<Item = Block>) -> Option<Self> {
        let mut kept = vec![];
        for block in blocks {
            if !kept.contains(&block) {
                kept.push(block);
            }
        }
        (kept.len() <= MAX_BLOCKS).then_some(Self(kept))
    }

    /// Whether the token may be used from anywhere.
    pub fn is_anywhere(&self) -> bool {
        self.0.is_empty()
    }

    /// Each block.
    pub fn iter(&self) -> impl Iterator<Item = &Block> {
        self.0.iter()
    }

    /// Whether the token may be used from this address.
    pub fn admit(&self, address: IpAddr) -> bool {
        self.is_anywhere() || self.0.iter().any(|block| block.contains(address))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn admits(blocks: &[&str], address: &str) -> bool {
        let blocks = blocks.iter().map(|block| block.parse().unwrap());
        SourceAddresses::new(blocks).unwrap().admit(address.parse().unwrap())
    }

    #[test]
    fn an_address_is_admitted_in_any_of_the_blocks_and_nowhere_else() {
        let blocks = ["203.0.113.0/25", "2001:db8::/33", "192.0.2.7"];
        for inside in ["203.0.113.0", "203.0.113.127", "2001:db8:7fff::1", "192.0.2.7", "::ffff:203.0.113.5"] {
            assert!(admits(&blocks, inside), "{inside}");
        }
        for outside in ["203.0.113.128", "203.0.112.255", "2001:db8:8000::", "192.0.2.8", "::cb00:7105", "::"] {
            assert!(!admits(&blocks, outside), "{outside}");
        }
        assert!(admits(&[], "192.0.2.1") && admits(&["0.0.0.0/0"], "192.0.2.1") && !admits(&["0.0.0.0/0"], "2001::"));
    }

    #[test]
    fn a_wrong_block_says_what_is_wrong() {
        let error = |text: &str| text.parse::<Block>().unwrap_err();
        for text in ["", "/", "/8", "10.0.0.0/", "10.0.0.0/+8", "10.0.0", "010.0.0.1", "a/8", "::ffff:10.0.0.1", " ::"]
        {
            assert_eq!(error(text), BlockError::Form, "{text}");
        }
        assert_eq!(error("10.0.0.0/33"), BlockError::Bits);
        assert_eq!(error("::/129"), BlockError::Bits);
        assert_eq!(error("10.0.0.0/999"), BlockError::Bits);
        assert_eq!(error("192.168.1.5/24").to_string(), "a block by its first address: 192.168.1.0/24");
    }

    proptest! {
        #[test]
        fn a_block_is_the_addresses_that_share_its_first_bits(address: u32, other: u32, prefix in 0u8..=32) {
            let v4 = |bits: u32| IpAddr::V4(bits.into());
            let block = Block { address: masked(v4(address), prefix), prefix };
            let same = prefix == 0 || address >> (32 - prefix) == other >> (32 - prefix);
            prop_assert_eq!(block.contains(v4(other)), same);
            prop_assert_eq!(block.to_string().parse(), Ok(block));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in ".{0,60}") {
            let _ = text.parse::<Block>();
        }
    }
}
