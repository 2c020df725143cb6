//! `cargo bench -p latchkey-bench`: what a decision costs without Lambda and without DynamoDB.
//!
//! Time by Criterion, and instructions by callgrind, which do not depend on what else the machine is doing: each case
//! runs in a process of its own under `valgrind`, so often and once more as often, and the difference counts.

use authorize::policy::Policy;
use bench::{Error, dynamodb, event};
use criterion::Criterion;
use latchkey::clock;
use latchkey::config::Environment;
use latchkey::scope::ReadByPost;
use latchkey::token::{Token, TokenHash};
use std::hint::black_box;
use std::io::{self, Write};
use std::process::Command;

/// The argument that asks for one case, so often.
const ONE: &str = "--one-case";

/// How often a case runs under callgrind.
const TIMES: u64 = 200;

type Case = (&'static str, Box<dyn FnMut()>);

fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, flag, name, times, ..] = arguments.as_slice()
        && flag == ONE
    {
        let mut cases = cases()?;
        let (_, case) = cases.iter_mut().find(|(case, _)| case == name).ok_or("no such case")?;
        (0..times.parse::<u64>()?).for_each(|_| case());
        return Ok(());
    }
    let mut criterion = Criterion::default().configure_from_args();
    let mut cases = cases()?;
    for (name, case) in &mut cases {
        criterion.bench_function(name, |bencher| bencher.iter(&mut *case));
    }
    criterion.final_summary();

    let mut out = io::stdout();
    for (name, _) in &cases {
        match instructions(name) {
            Ok(instructions) => writeln!(out, "{name}: {instructions} instructions")?,
            Err(error) => {
                writeln!(out, "instructions are not counted: {error}")?;
                break;
            }
        }
    }
    Ok(())
}

fn cases() -> Result<Vec<Case>, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let dynamodb = dynamodb::start()?;
    let (events, _) = runtime.block_on(event::prepare(dynamodb.port))?;
    let variables = [("CACHE_SECONDS", "3600"), ("TABLE_NAME", event::TABLE)];
    let environment: Environment =
        variables.into_iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    let function = authorize::Function::new(&environment, local::dynamodb::client(dynamodb.port)?)?;

    let token = event::mint()?;
    let text = token.expose().to_owned();
    let record = event::record(&token)?;
    let stage = "arn:aws:execute-api:eu-west-1:123456789012:abcdef1234/prod";
    let read_by_post = ReadByPost::default();
    let answer = move || {
        let event = serde_json::from_slice(&events.authorize)?;
        let answer = runtime.block_on(function.handle(event, clock::now()))?;
        Ok::<_, Error>(serde_json::to_vec(&answer)?)
    };
    // From here on the record is in the cache.
    answer()?;
    Ok(vec![
        ("parse and checksum", Box::new(move || drop(black_box(black_box(&text).parse::<Token>())))),
        ("hash and compare", {
            let kept = record.hash;
            Box::new(move || {
                let hash: TokenHash = black_box(&token).hash();
                black_box(hash.matches(&kept));
            })
        }),
        ("scopes to policy", {
            Box::new(move || {
                let policy = Policy::grant(black_box(stage), black_box(&record), &read_by_post);
                black_box(serde_json::to_vec(&policy).unwrap_or_default());
            })
        }),
        ("event to answer, from cache", Box::new(move || drop(black_box(answer())))),
    ])
}

fn instructions(case: &str) -> Result<u64, Error> {
    let count = |times: u64| {
        let output = Command::new("valgrind")
            .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
            .arg(std::env::current_exe()?)
            .args([ONE, case, &times.to_string()])
            .output()
            .map_err(|error| format!("valgrind: {error}"))?;
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        let collected = told.lines().find_map(|line| line.split_once("Collected : "));
        let (_, count) = collected.ok_or_else(|| format!("valgrind says {told}"))?;
        Ok::<u64, Error>(count.trim().parse()?)
    };
    Ok((count(2 * TIMES)? - count(TIMES)?) / TIMES)
}
