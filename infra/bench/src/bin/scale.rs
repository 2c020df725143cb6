//! `cargo run --release -p latchkey-bench --bin scale`: what a million authorizations cost, what the load of a whole
//! registry does to the table, and what it costs to say ahead that tokens expire.
//!
//! The load is simulated: a million tokens, ten an owner, used as words are (Zipf, exponent 1: the busiest token makes
//! 7 % of all requests), and instances of the authorizer that a request meets at random, which is the worst that can
//! happen to caches of their own. The same seed gives the same figures.

use std::collections::HashMap;
use std::io::{self, Write};

/// Tokens of the registry.
const TOKENS: usize = 1_000_000;
/// Owners, each of whom has a partition of the table.
const OWNERS: usize = TOKENS / 10;
/// Requests a second to the registry.
const LOADS: [u32; 3] = [1_000, 10_000, 40_000];
/// The load that costs are told of.
const USUAL: u32 = 10_000;
/// Seconds for which an instance keeps what it has read.
const CACHE_SECONDS: [u32; 3] = [0, 5, 30];
/// How long an authorization keeps an instance busy, in seconds: at 128 MB, with a DynamoDB that answers in 4 ms.
const BUSY: f64 = 0.008;
/// Seconds that pass before counting, so that caches are as full as they get, and seconds that count.
const SECONDS: u32 = 31;
/// Strongly consistent reads a second of one partition (DynamoDB developer guide, "Burst and adaptive capacity").
const MOST_READS: f64 = 3000.0;

/// Dollars for a million requests to a function; us-east-1, as all prices here, from the services' own pages.
const INVOCATIONS: f64 = 0.20;
/// Dollars for a GB-second.
const GB_SECOND: [(&str, f64); 2] = [("arm64", 0.000_013_333_4), ("x86_64", 0.000_016_666_7)];
/// Dollars for a million strongly consistent reads of up to 4 KB, on demand.
const READS: f64 = 0.125;
/// Dollars for a million requests to a REST API.
const GATEWAY: f64 = 3.50;

/// Dollars for a million writes of up to 1 KB, on demand.
const WRITES: f64 = 0.625;
/// Dollars for a million events of our own on a bus, and for as many taken from the stream by a pipe.
const EVENTS: [f64; 2] = [1.00, 0.40];
/// What one token costs from its creation to its end, if it is told of 30, 7 and 1 days ahead and at it: the creation and
/// four reminders are events; of the four entries in the queue each is written and taken away, and each is noted on the
/// record; and the creation wakes `remind` once, for 10 ms.
const TOLD: usize = 5;
const WRITTEN: usize = 3 * (TOLD - 1);

/// Memory in MB, and billed milliseconds of an authorization that reads: 4 for DynamoDB and 0.3 of CPU at that size's
/// share. One from the cache is billed the least there is, 1.
const DURATIONS: [(u32, f64); 3] = [(128, 8.0), (256, 6.0), (512, 5.0)];

/// What was seen of one load with one cache.
struct Seen {
    load: u32,
    cache: u32,
    instances: usize,
    reads: f64,
    hottest_partition: f64,
    /// Seconds for which the busiest token still passed after its revocation.
    passed: f64,
}

fn main() -> io::Result<()> {
    let zipf = Zipf::new();
    let seen: Vec<_> = LOADS.iter().flat_map(|load| CACHE_SECONDS.map(|cache| simulate(&zipf, *load, cache))).collect();
    let mut out = io::stdout();
    writeln!(
        out,
        "| requests a second | instances | `CACHE_SECONDS` | reads a second | on the hottest partition | the busiest \
         token, revoked, still passed for |\n|---|---|---|---|---|---|"
    )?;
    for Seen { load, cache, instances, reads, hottest_partition, passed } in &seen {
        let mark = if *hottest_partition > MOST_READS { ": too many" } else { "" };
        writeln!(
            out,
            "| {load} | {instances} | {cache} | {reads:.0} | {hottest_partition:.0}{mark} | {passed:.1} s |"
        )?;
    }
    writeln!(out, "\n| a million authorizations, at {USUAL} a second | 0 s | 5 s | 30 s |\n|---|---|---|---|")?;
    for (architecture, gb_second) in GB_SECOND {
        for (memory, reading) in DURATIONS {
            write!(out, "| {architecture}, {memory} MB |")?;
            for seen in seen.iter().filter(|seen| seen.load == USUAL) {
                let part = seen.reads / f64::from(seen.load);
                let seconds = 1e6 * (part * reading + (1.0 - part)) / 1e3;
                let dollars = INVOCATIONS + seconds * f64::from(memory) / 1024.0 * gb_second + part * READS;
                write!(out, " ${dollars:.2} |")?;
            }
            writeln!(out)?;
        }
    }
    writeln!(out, "| the REST API beside it | ${GATEWAY:.2} | ${GATEWAY:.2} | ${GATEWAY:.2} |")?;
    let [(_, gb_second), _] = GB_SECOND;
    let woken = INVOCATIONS + 1e6 * 0.010 * 128.0 / 1024.0 * gb_second;
    let rows = [
        ("writes", WRITTEN as f64 * WRITES),
        ("events, through a pipe and on the bus", TOLD as f64 * EVENTS.iter().sum::<f64>()),
        ("`remind`", woken),
    ];
    writeln!(out, "\n| telling of a million tokens' ends, for their whole lives | |\n|---|---|")?;
    for (what, dollars) in rows {
        writeln!(out, "| {what} | ${dollars:.2} |")?;
    }
    writeln!(out, "| together | ${:.2} |", rows.iter().map(|(_, dollars)| dollars).sum::<f64>())
}

/// Which token a request comes with: sums of 1, 1/2, 1/3, …
struct Zipf(Vec<f64>);

impl Zipf {
    fn new() -> Self {
        let add = |sum: &mut f64, rank: usize| {
            *sum += 1.0 / rank as f64;
            Some(*sum)
        };
        Self((1..=TOKENS).scan(0.0, add).collect())
    }

    fn token(&self, random: &mut fastrand::Rng) -> usize {
        let at = random.f64() * self.0.last().copied().unwrap_or_default();
        self.0.partition_point(|sum| *sum < at)
    }
}

fn simulate(zipf: &Zipf, load: u32, cache: u32) -> Seen {
    let mut random = fastrand::Rng::with_seed(u64::from(load) + u64::from(cache));
    let instances = (f64::from(load) * BUSY).ceil() as usize;
    // When each instance has last read each token.
    let mut caches: Vec<HashMap<usize, f64>> = vec![HashMap::new(); instances];
    let mut partitions: HashMap<usize, u32> = HashMap::new();
    // Counting begins here, and here the busiest token is revoked.
    let begin = f64::from(SECONDS);
    let mut passed = 0.0;
    for request in 0..load * SECONDS * 2 {
        let now = f64::from(request) / f64::from(load);
        let token = zipf.token(&mut random);
        let Some(kept) = caches.get_mut(random.usize(..instances)) else { continue };
        match kept.get(&token) {
            Some(read_at) if now - read_at < f64::from(cache) => {
                if token == 0 && now > begin && *read_at <= begin {
                    passed = now - begin;
                }
            }
            _ => {
                kept.insert(token, now);
                if now > begin {
                    // Owners of busy tokens have nine others, of which some are busy too.
                    *partitions.entry(token % OWNERS).or_default() += 1;
                }
            }
        }
    }
    let a_second = |count: u32| f64::from(count) / f64::from(SECONDS);
    Seen {
        load,
        cache,
        instances,
        reads: a_second(partitions.values().sum()),
        hottest_partition: a_second(partitions.values().copied().max().unwrap_or_default()),
        passed,
    }
}
