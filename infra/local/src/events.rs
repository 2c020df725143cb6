//! Events under way: from the table's stream through the pipes to the bus, and calls by the clock.

use crate::event_bus::{EventBus, Target};
use crate::options::Clock;
use crate::pipe::Pipe;
use crate::schedule::Schedule;
use crate::server::{Stop, stopped};
use crate::stream::{Stream, StreamError};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};

/// The time between two looks at the stream.
const PERIOD: Duration = Duration::from_millis(200);

/// The longest time between two looks. The embedded DynamoDB keeps its stream for good, and looks through all of it: for
/// 0.2 ms after 1,000 writes, for 9 ms after 20,000. So each look is followed by ten times as long without.
const LONGEST_PERIOD: Duration = Duration::from_secs(2);

/// Everything between the table and the functions that hear of it.
pub struct Events {
    stream: Mutex<Stream>,
    pipes: Vec<Pipe>,
    bus: EventBus,
    schedules: Vec<(Schedule, Target)>,
    clock: Clock,
}

impl Events {
    /// From a place in the stream on.
    pub fn new(
        stream: Stream,
        pipes: Vec<Pipe>,
        bus: EventBus,
        schedules: Vec<(Schedule, Target)>,
        clock: Clock,
    ) -> Self {
        Self { stream: Mutex::new(stream), pipes, bus, schedules, clock }
    }

    /// Hands on everything that has been written until now, and what the functions that hear of it write.
    ///
    /// A batch counts as read once it is handed on: who is interrupted reads it again.
    pub async fn settle(&self) -> Result<(), StreamError> {
        let mut stream = self.stream.lock().await;
        loop {
            let batch = stream.read().await?;
            if batch.records.is_empty() {
                return Ok(());
            }
            for record in &batch.records {
                for pipe in &self.pipes {
                    match pipe.carry(record) {
                        None => {}
                        Some(Ok(detail)) => {
                            self.bus.put(&pipe.source, &pipe.detail_type, detail, (self.clock)()).await;
                        }
                        // Where the dead-letter queue and its alarm would be.
                        Some(Err(error)) => tracing::error!("an event is lost in the pipe {}: {error}", pipe.name),
                    }
                }
            }
            stream.go_on(batch);
        }
    }

    /// Calls every function that has a schedule.
    pub async fn tick(&self) {
        for (schedule, target) in &self.schedules {
            self.call(schedule, target).await;
        }
    }

    async fn call(&self, schedule: &Schedule, target: &Target) {
        let now = (self.clock)();
        target.call(&schedule.event(now), now).await;
    }

    /// The latest events, oldest first.
    pub fn latest(&self) -> Vec<Value> {
        self.bus.latest()
    }

    /// Keeps both going until `stop`.
    pub fn run(self: &Arc<Self>, stop: &Stop) -> Vec<JoinHandle<()>> {
        let events = Arc::clone(self);
        let mut tasks = vec![until(stop, async move {
            // The table is gone, most likely: the same would come of every try.
            let error = loop {
                let begin = Instant::now();
                if let Err(error) = events.settle().await {
                    break error;
                }
                tokio::time::sleep((begin.elapsed() * 10).clamp(PERIOD, LONGEST_PERIOD)).await;
            };
            tracing::error!("{error}; there are no events any more");
        })];
        for (schedule, target) in self.schedules.clone() {
            let events = Arc::clone(self);
            tasks.push(until(stop, async move {
                // As AWS counts: the first call is a whole period after the beginning.
                let mut clock = tokio::time::interval_at(Instant::now() + schedule.every, schedule.every);
                clock.set_missed_tick_behavior(MissedTickBehavior::Skip);
                loop {
                    clock.tick().await;
                    events.call(&schedule, &target).await;
                }
            }));
        }
        tasks
    }
}

fn until(stop: &Stop, work: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    let mut stop = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            () = work => {}
            () = stopped(&mut stop) => {}
        }
    })
}
