//! The asynchronous interface: deliveries left alone (`send`), each awaited by the task that sends
//! (`await`), or by as many tasks as the workload says (`tasks`).

use std::collections::VecDeque;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::runtime::Runtime;

use crate::Run;
use crate::threads::record;

/// How many deliveries a task of `await` holds before it awaits the oldest.
const WINDOW: usize = 100_000;

type Failure = Box<dyn Error + Send + Sync>;

/// The application's own runtime: one thread, since the workload's count of tasks says the rest.
pub(crate) fn runtime() -> Runtime {
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(why) => panic!("no runtime: {why}"),
    }
}

/// Sends the records and waits for what the surface waits for.
pub(crate) fn run(run: &Run, records: u64, rate: u64) -> Result<(), Failure> {
    if rate > 0 {
        return Err("a fixed rate is for the surfaces try_send, topic and blocking".into());
    }
    runtime().block_on(async {
        match run.workload.surface.as_str() {
            "send" => send(run, records).await,
            "await" => await_each(run, records).await,
            _ => tasks(run, records).await,
        }
    })
}

async fn send(run: &Run, records: u64) -> Result<(), Failure> {
    for number in 0..records {
        drop(run.producer.send(record(&run.source.item(number))).await?);
    }
    Ok(())
}

async fn await_each(run: &Run, records: u64) -> Result<(), Failure> {
    let mut waiting = VecDeque::with_capacity(WINDOW);
    for number in 0..records {
        if waiting.len() == WINDOW
            && let Some(oldest) = waiting.pop_front()
        {
            let oldest: ottla::Delivery = oldest;
            oldest.await?;
        }
        waiting.push_back(run.producer.send(record(&run.source.item(number))).await?);
    }
    for delivery in waiting {
        delivery.await?;
    }
    Ok(())
}

/// Each task sends a record, awaits its delivery, and takes the next number.
async fn tasks(run: &Run, records: u64) -> Result<(), Failure> {
    let next = Arc::new(AtomicU64::new(0));
    let task = |_| {
        let (run, next) = (run.clone(), Arc::clone(&next));
        tokio::spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= records {
                    return Ok::<(), Failure>(());
                }
                run.producer.send(record(&run.source.item(number))).await?.await?;
            }
        })
    };
    let tasks: Vec<_> = (0..run.workload.tasks).map(task).collect();
    for task in tasks {
        task.await??;
    }
    Ok(())
}
