//! Base 62 (`0-9A-Za-z`) of fixed width: big-endian, padded with zeros on the left.

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The `WIDTH` lowest base-62 digits of a big-endian number; callers choose a width that holds every number of
/// `bytes.len()` bytes (17 for 12 bytes, 43 for 32, 6 for 4).
pub(crate) fn encode<const WIDTH: usize>(bytes: &[u8]) -> [u8; WIDTH] {
    let mut number = zeroize::Zeroizing::new(bytes.to_vec());
    let mut digits = [b'0'; WIDTH];
    for digit in digits.iter_mut().rev() {
        let mut remainder = 0u32;
        for byte in number.iter_mut() {
            let value = remainder << 8 | u32::from(*byte);
            *byte = (value / 62) as u8;
            remainder = value % 62;
        }
        *digit = DIGITS.get(remainder as usize).copied().unwrap_or(b'0');
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_of_its_bytes_fits_the_width() {
        assert_eq!(&encode::<6>(&u32::MAX.to_be_bytes()), b"4gfFC3");
        assert_eq!(&encode::<6>(&61u32.to_be_bytes()), b"00000z");
        assert_eq!(&encode::<17>(&[0; 12]), b"00000000000000000");
        assert_ne!(encode::<17>(&[0xff; 12]).first(), Some(&b'0'));
        assert_ne!(encode::<43>(&[0xff; 32]).first(), Some(&b'0'));
    }
}
