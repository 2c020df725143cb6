//! `cargo run --release -p latchkey-bench --bin timing`: whether the time of an answer tells an unknown id from a wrong
//! secret, or how much of a secret is right. Nothing is asserted: what is measured is a machine's mood as well.
//!
//! Whole decisions of the authorizer, each with its read of the embedded DynamoDB, in turns of random order, so that moods
//! fall on all kinds alike; and the comparison alone, a thousand at a time.

use bench::{Error, dynamodb, event};
use latchkey::clock;
use latchkey::config::Environment;
use latchkey::token::{Prefix, Token, TokenHash};
use std::hint::black_box;
use std::io::{self, Write};
use std::time::{Duration, Instant};

/// Decisions of each kind.
const DECISIONS: usize = 5_000;
/// Batches of comparisons of each kind, and comparisons in a batch.
const BATCHES: usize = 5_000;
const COMPARISONS: usize = 1_000;
/// Turns that do not count.
const WARM_UP: usize = 200;

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// What was measured of one kind.
struct Kind {
    name: &'static str,
    took: Vec<Duration>,
}

fn main() -> Result<(), Error> {
    let mut out = io::stdout();
    writeln!(out, "| | 25 % | median | 75 % | slower than the first kind |\n|---|---|---|---|---|")?;
    write(&mut out, &decisions()?)?;
    write(&mut out, &comparisons()?)
}

fn decisions() -> Result<Vec<Kind>, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let dynamodb = dynamodb::start()?;
    let (_, token) = runtime.block_on(event::prepare(dynamodb.port))?;
    let environment: Environment = [("TABLE_NAME".to_string(), event::TABLE.to_string())].into_iter().collect();
    let function = authorize::Function::new(&environment, local::dynamodb::client(dynamodb.port)?)?;
    let secret = token.expose().len() - 49;
    let mut random = fastrand::Rng::new();
    let mut kinds =
        ["an unknown id", "a secret whose first digit is wrong", "a secret whose last digit is wrong"].map(Kind::new);
    for turn in 0..WARM_UP + DECISIONS {
        let mut order = [0, 1, 2];
        random.shuffle(&mut order);
        for which in order {
            let presented = match which {
                0 => event::mint()?,
                1 => altered(&token, secret, &mut random)?,
                _ => altered(&token, secret + 42, &mut random)?,
            };
            let event =
                serde_json::from_value(event::rest_request(presented.expose(), "GET", "npm/@acme%2fx", "192.0.2.1"))?;
            let begin = Instant::now();
            let answer = runtime.block_on(function.handle(event, clock::now()));
            let took = begin.elapsed();
            if answer.is_ok() {
                return Err("a wrong token passed".into());
            }
            if let Some(kind) = kinds.get_mut(which).filter(|_| turn >= WARM_UP) {
                kind.took.push(took);
            }
        }
    }
    Ok(kinds.into())
}

/// The token with another digit there, and the checksum that fits.
fn altered(token: &Token, at: usize, random: &mut fastrand::Rng) -> Result<Token, Error> {
    let mut text = token.expose().as_bytes().to_vec();
    let digit = text.get_mut(at).ok_or("no such digit")?;
    let others: Vec<u8> = DIGITS.iter().copied().filter(|other| other != digit).collect();
    *digit = random.choice(others).ok_or("no other digit")?;
    let (body, given) = text.split_last_chunk_mut::<6>().ok_or("no checksum")?;
    let mut checksum = crc32fast::hash(body);
    for digit in given.iter_mut().rev() {
        *digit = DIGITS.get(checksum as usize % 62).copied().unwrap_or_default();
        checksum /= 62;
    }
    Ok(String::from_utf8(text)?.parse::<Token>()?)
}

fn comparisons() -> Result<Vec<Kind>, Error> {
    let token = Token::mint(&Prefix::default(), event::mint()?.id().owner(), clock::now()).map_err(|_| "no entropy")?;
    let hash = token.hash();
    let differing = |at: usize| {
        let mut bytes = hash.as_bytes().to_vec();
        bytes.get_mut(at).into_iter().for_each(|byte| *byte ^= 1);
        TokenHash::from_bytes(&bytes).ok_or("no hash")
    };
    let others = [differing(0)?, differing(31)?, hash];
    let mut kinds =
        ["1,000 hashes whose first byte differs", "whose last byte differs", "that are equal"].map(Kind::new);
    let mut random = fastrand::Rng::new();
    for turn in 0..WARM_UP + BATCHES {
        let mut order = [0, 1, 2];
        random.shuffle(&mut order);
        for which in order {
            let (Some(other), Some(kind)) = (others.get(which), kinds.get_mut(which)) else { continue };
            let begin = Instant::now();
            for _ in 0..COMPARISONS {
                black_box(black_box(&hash).matches(black_box(other)));
            }
            let took = begin.elapsed();
            if turn >= WARM_UP {
                kind.took.push(took);
            }
        }
    }
    Ok(kinds.into())
}

impl Kind {
    fn new(name: &'static str) -> Self {
        Self { name, took: vec![] }
    }
}

/// A row a kind. The last column is Mann and Whitney's statistic: of two that are drawn at random, how often the one of this
/// kind took longer than the one of the first (50 %: they cannot be told apart), and how many standard deviations of chance
/// that is from 50 %.
fn write(out: &mut impl Write, kinds: &[Kind]) -> Result<(), Error> {
    let Some(first) = kinds.first() else { return Ok(()) };
    for kind in kinds {
        let mut sorted = kind.took.clone();
        sorted.sort();
        let at = |part: f64| sorted.get((part * sorted.len() as f64) as usize).copied().unwrap_or_default();
        let micros = |took: Duration| format!("{:.1} µs", took.as_secs_f64() * 1e6);
        write!(out, "| {} | {} | {} | {} |", kind.name, micros(at(0.25)), micros(at(0.5)), micros(at(0.75)))?;
        if std::ptr::eq(kind, first) {
            writeln!(out, " |")?;
        } else {
            let (part, deviations) = slower(&kind.took, &first.took);
            writeln!(out, " {:.1} % ({deviations:+.1} σ) |", part * 100.0)?;
        }
    }
    Ok(())
}

/// In which part of all pairs `these` took longer than `those`, ties by half; and its deviations from one half.
fn slower(these: &[Duration], those: &[Duration]) -> (f64, f64) {
    let mut sorted = those.to_vec();
    sorted.sort();
    let ranks = these.iter().map(|took| {
        let (below, not_above) =
            (sorted.partition_point(|other| other < took), sorted.partition_point(|other| other <= took));
        (below + not_above) as f64 / 2.0
    });
    let (n, m) = (these.len() as f64, those.len() as f64);
    let part = ranks.sum::<f64>() / (n * m);
    (part, (part - 0.5) / ((n + m + 1.0) / (12.0 * n * m)).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_alike_is_slower_half_of_the_time() {
        let of = |from: u64, to: u64| (from..to).map(Duration::from_micros).collect::<Vec<_>>();
        assert_eq!(slower(&of(0, 10), &of(0, 10)), (0.5, 0.0));
        assert_eq!(slower(&of(10, 20), &of(0, 10)).0, 1.0);
        assert!(slower(&of(0, 10), &of(10, 20)).1 < -3.0);
    }
}
