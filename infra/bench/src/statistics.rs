//! What is told of many measurements.

use std::time::Duration;

/// The one in the middle.
pub fn median(of: &[Duration]) -> Duration {
    quantile(of, 0.5)
}

/// Of a hundred, five took longer.
pub fn p95(of: &[Duration]) -> Duration {
    quantile(of, 0.95)
}

/// Of a hundred, one took longer.
pub fn p99(of: &[Duration]) -> Duration {
    quantile(of, 0.99)
}

/// The smallest that at least this part of all does not exceed; zero of none.
fn quantile(of: &[Duration], part: f64) -> Duration {
    let mut sorted = of.to_vec();
    sorted.sort();
    let rank = (part * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

/// How many times `other`.
pub fn ratio(one: Duration, other: Duration) -> f64 {
    one.as_secs_f64() / other.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_one_of_the_measurements() {
        let of: Vec<_> = (1..=20).rev().map(Duration::from_millis).collect();
        assert_eq!(median(&of), Duration::from_millis(10));
        assert_eq!(p95(&of), Duration::from_millis(19));
        assert_eq!(median(&[]), Duration::ZERO);
    }
}
