//! `cargo run --release -p latchkey-bench --bin bench`: how fast, small and cheap the authorizer is, beside others of
//! its kind.

use bench::measure::{Cold, Warm};
use bench::quota::Quota;
use bench::{Error, contender, dynamodb, event, goals, measure, plot, prepare, table};
use clap::Parser;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// The memory sizes whose share of a CPU is imitated, in MB.
const MEMORY: [u32; 3] = [128, 256, 512];

/// Starts every contender many times, and asks each many times more.
#[derive(Parser)]
struct Arguments {
    /// Cold starts of each contender at each CPU share
    #[arg(long, default_value_t = 20)]
    starts: usize,
    /// Warm authorizations of each contender
    #[arg(long, default_value_t = 5000)]
    requests: usize,
    /// Leave `node` or `python` out
    #[arg(long, value_name = "NAME", value_parser = ["node", "python"])]
    without: Vec<String>,
    /// Bootstraps to measure, as `cargo lambda build --release` leaves them (`target/lambda`); built here if not given
    #[arg(long, value_name = "DIR")]
    bootstraps: Option<PathBuf>,
    /// Where the plot goes
    #[arg(long, value_name = "FILE", default_value = "target/bench/bench.svg")]
    plot: PathBuf,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Error> {
    let say = |line: &str| writeln!(io::stderr(), "{line}");
    say("building")?;
    let built = prepare::all(arguments.bootstraps.as_deref(), &arguments.without)?;
    let dynamodb = dynamodb::start()?;
    let (events, _) = event::prepare(dynamodb.port).await?;
    let contenders = contender::all(&built, &dynamodb)?;

    say("comparing answers")?;
    contender::check_answers(&contenders, &events).await?;

    let quota = Quota::available();
    if let Err(reason) = &quota {
        say(&format!("no CPU shares: {reason}"))?;
    }
    let mut shares = vec![None];
    if let Ok(quota) = &quota {
        shares.extend(MEMORY.map(|memory| Some((quota, memory))));
    }
    let mut cold: Vec<Cold> = vec![];
    for share in shares {
        let memory = share.map(|(_, memory)| memory);
        let name = memory.map_or("a full CPU".into(), |memory| format!("the CPU share of {memory} MB"));
        say(&format!("starting everything {} times at {name}", arguments.starts))?;
        cold.extend(measure::cold(&contenders, &events, share, arguments.starts).await?);
    }
    say(&format!("{} warm requests each", arguments.requests))?;
    let warm: Vec<Warm> = measure::warm(&contenders, &events, arguments.requests).await?;
    let sizes = prepare::sizes(&built)?;

    let mut out = io::stdout();
    table::write(&mut out, &cold, &warm, &sizes)?;
    goals::write(&mut out, &cold, &warm, &sizes)?;
    plot::draw(&arguments.plot, &cold)?;
    say(&format!("plotted to {}", arguments.plot.display()))?;
    Ok(())
}
