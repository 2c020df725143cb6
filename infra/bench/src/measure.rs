//! Starts and requests, one contender after the other, round after round.

use crate::Error;
use crate::contender::{Contender, Running};
use crate::event::Events;
use crate::quota::Quota;
use std::fs;
use std::time::Duration;

/// A contender's starts at one CPU share.
pub struct Cold {
    /// Who.
    pub name: &'static str,
    /// The memory size whose share it had after its initialisation; `None`: a full CPU.
    pub memory: Option<u32>,
    /// From the start of the process to its first poll.
    pub init: Vec<Duration>,
    /// From the first event to its answer.
    pub first: Vec<Duration>,
}

/// A contender's requests.
pub struct Warm {
    /// Who.
    pub name: &'static str,
    /// From event to answer.
    pub latency: Vec<Duration>,
    /// CPU time of one invocation: the mean, since a process counts it as a whole.
    pub cpu: Duration,
    /// The most memory that it has held, in bytes.
    pub peak_memory: u64,
}

impl Cold {
    /// What a person waits for on top of a warm request: initialisation and the first answer.
    pub fn total(&self) -> Vec<Duration> {
        self.init.iter().zip(&self.first).map(|(init, first)| *init + *first).collect()
    }
}

/// Starts each contender so often, and asks each process once.
pub async fn cold(
    contenders: &[Contender],
    events: &Events,
    share: Option<(&Quota, u32)>,
    starts: usize,
) -> Result<Vec<Cold>, Error> {
    let starting: Vec<_> = contenders.iter().filter(|contender| contender.starts).collect();
    let memory = share.map(|(_, memory)| memory);
    let mut measured: Vec<_> =
        starting.iter().map(|contender| Cold { name: contender.name, memory, init: vec![], first: vec![] }).collect();
    for _ in 0..starts {
        for (contender, cold) in starting.iter().zip(&mut measured) {
            let mut running = contender.start().await?;
            cold.init.push(running.api.polled().await? - running.started);
            if let Some((quota, memory)) = share {
                quota.apply(running.id()?, memory)?;
            }
            cold.first.push(running.api.invoke(contender.event(events)).await?.0);
        }
    }
    Ok(measured)
}

/// Requests that each contender answers unmeasured, so that what is compiled on the way and grown into is there.
const WARM_UP: usize = 500;

/// Requests in a turn.
const TURN: usize = 250;

/// Asks each contender so often.
pub async fn warm(contenders: &[Contender], events: &Events, requests: usize) -> Result<Vec<Warm>, Error> {
    let mut measured = vec![];
    for contender in contenders {
        let mut running = contender.start().await?;
        for _ in 0..WARM_UP {
            running.api.polled().await?;
            running.api.invoke(contender.event(events)).await?;
        }
        let warm = Warm { name: contender.name, latency: vec![], cpu: Duration::ZERO, peak_memory: 0 };
        measured.push((contender, running, warm));
    }
    for _ in 0..requests.div_ceil(TURN) {
        for (contender, running, warm) in &mut measured {
            let before = running.cpu()?;
            for _ in 0..TURN {
                running.api.polled().await?;
                warm.latency.push(running.api.invoke(contender.event(events)).await?.0);
            }
            warm.cpu += running.cpu()? - before;
        }
    }
    let finish = |(_, running, mut warm): (&Contender, Running, Warm)| {
        warm.cpu = warm.cpu.div_f64(warm.latency.len() as f64);
        warm.peak_memory = running.peak_memory()?;
        Ok(warm)
    };
    measured.into_iter().map(finish).collect()
}

impl Running {
    fn id(&self) -> Result<u32, Error> {
        Ok(self.process.id().ok_or("it has ended")?)
    }

    /// The CPU time of all threads so far, from the scheduler's own books: to the nanosecond, where `stat` counts ticks.
    fn cpu(&self) -> Result<Duration, Error> {
        let mut spent = 0;
        for thread in fs::read_dir(format!("/proc/{}/task", self.id()?))? {
            let books = fs::read_to_string(thread?.path().join("schedstat"))?;
            spent += books.split_whitespace().next().ok_or("no schedstat")?.parse::<u64>()?;
        }
        Ok(Duration::from_nanos(spent))
    }

    fn peak_memory(&self) -> Result<u64, Error> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id()?))?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
        Ok(peak.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
    }
}
