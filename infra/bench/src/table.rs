//! The figures, as tables in Markdown.

use crate::contender::LATCHKEY;
use crate::measure::{Cold, Warm};
use crate::prepare::Size;
use crate::statistics::{median, p95, ratio};
use std::io::{self, Write};
use std::time::Duration;

/// Writes everything that was measured.
pub fn write(out: &mut impl Write, cold: &[Cold], warm: &[Warm], sizes: &[Size]) -> io::Result<()> {
    writeln!(out, "| cold start | CPU after init | init | first answer | both | p95 | times Latchkey |")?;
    writeln!(out, "|---|---|---|---|---|---|---|")?;
    for each in cold {
        let own = cold.iter().find(|own| own.name == LATCHKEY && own.memory == each.memory);
        writeln!(
            out,
            "| {} | {} | {} | {} | **{}** | {} | {} |",
            each.name,
            each.memory.map_or("full".into(), |memory| format!("of {memory} MB")),
            millis(median(&each.init)),
            millis(median(&each.first)),
            millis(median(&each.total())),
            millis(p95(&each.total())),
            own.map_or_else(String::new, |own| times(ratio(median(&each.total()), median(&own.total())))),
        )?;
    }
    writeln!(out)?;
    writeln!(out, "| warm | latency | p95 | times Latchkey | CPU an invocation | times Latchkey | peak memory |")?;
    writeln!(out, "|---|---|---|---|---|---|---|")?;
    let own = warm.iter().find(|own| own.name == LATCHKEY);
    for each in warm {
        let latency = median(&each.latency);
        writeln!(
            out,
            "| {} | **{}** | {} | {} | {} | {} | {:.1} MB |",
            each.name,
            micros(latency),
            micros(p95(&each.latency)),
            own.map_or_else(String::new, |own| times(ratio(latency, median(&own.latency)))),
            micros(each.cpu),
            own.map_or_else(String::new, |own| times(ratio(each.cpu, own.cpu))),
            each.peak_memory as f64 / 1e6,
        )?;
    }
    writeln!(out)?;
    writeln!(out, "| function | bootstrap | zip |")?;
    writeln!(out, "|---|---|---|")?;
    for size in sizes {
        let (bootstrap, zip) = (size.bootstrap as f64 / 1e6, size.zip as f64 / 1e6);
        writeln!(out, "| `{}` | {bootstrap:.2} MB | {zip:.2} MB |", size.function)?;
    }
    writeln!(out)
}

fn millis(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

fn micros(time: Duration) -> String {
    format!("{:.0} µs", time.as_secs_f64() * 1e6)
}

fn times(ratio: f64) -> String {
    format!("{ratio:.2}")
}
