//! What is to be reached, and what was.

use crate::contender::{BARE, CACHED, GET_ITEM, LATCHKEY, NODE, PYTHON};
use crate::measure::{Cold, Warm};
use crate::prepare::Size;
use crate::statistics::{median, ratio};
use std::io::{self, Write};
use std::time::Duration;

/// Writes each goal with its figure. One whose measurements are missing is left out.
pub fn write(out: &mut impl Write, cold: &[Cold], warm: &[Warm], sizes: &[Size]) -> io::Result<()> {
    let start = |name, memory| cold.iter().find(|cold| cold.name == name && cold.memory == memory);
    let both = |name, memory| start(name, memory).map(|cold| median(&cold.total()));
    let init = |name| start(name, None).map(|cold| median(&cold.init));
    let requests = |name| warm.iter().find(|warm| warm.name == name);
    let latency = |name| requests(name).map(|warm| median(&warm.latency));
    let cpu = |name| requests(name).map(|warm| warm.cpu);
    let largest = sizes.iter().map(|size| size.zip).max();
    let memory = requests(LATCHKEY).map(|warm| warm.peak_memory);

    let goals = [
        ("init and first answer at the CPU share of 128 MB, in ms", 100.0, millis(both(LATCHKEY, Some(128)))),
        ("the same, of Node.js's", 0.2, of(both(LATCHKEY, Some(128)), both(NODE, Some(128)))),
        ("the same, of Python's", 0.2, of(both(LATCHKEY, Some(128)), both(PYTHON, Some(128)))),
        ("init at a full CPU, of the bare function's", 2.0, of(init(LATCHKEY), init(BARE))),
        ("warm, of a bare `GetItem`", 1.25, of(latency(LATCHKEY), latency(GET_ITEM))),
        ("warm from cache, of the bare function's", 1.1, of(latency(CACHED), latency(BARE))),
        ("CPU an invocation, of Node.js's", 0.2, of(cpu(LATCHKEY), cpu(NODE))),
        ("CPU an invocation, of Python's", 0.1, of(cpu(LATCHKEY), cpu(PYTHON))),
        ("peak memory of `authorize`, in MB", 16.0, memory.map(|bytes| bytes as f64 / 1e6)),
        ("the largest zip, in MB", 2.5, largest.map(|bytes| bytes as f64 / 1e6)),
    ];
    writeln!(out, "| goal | at most | is |")?;
    writeln!(out, "|---|---|---|")?;
    for (goal, most, is) in goals {
        let Some(is) = is else { continue };
        let missed = if is <= most { "" } else { " (missed)" };
        writeln!(out, "| {goal} | {most} | {is:.2}{missed} |")?;
    }
    Ok(())
}

fn millis(time: Option<Duration>) -> Option<f64> {
    Some(time?.as_secs_f64() * 1e3)
}

fn of(one: Option<Duration>, other: Option<Duration>) -> Option<f64> {
    Some(ratio(one?, other?))
}
