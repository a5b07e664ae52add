//! The topics that records go to, each asked for once.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use ottla::{Delivery, ErrorKind, Producer, Record, SendError, Topic, TrySendError};

/// A topic that could not be had is asked for again after this long. Until then records for it
/// fail at once instead of each waiting in vain.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(30);

/// Handles of topics by name.
pub(super) struct Topics<'p> {
    producer: &'p Producer,
    /// The topic of the last record: the next one is mostly of the same.
    last: Option<(String, Topic)>,
    known: HashMap<String, Result<Topic, (SendError, Instant)>>,
}

impl<'p> Topics<'p> {
    pub(super) fn new(producer: &'p Producer) -> Self {
        Self { producer, last: None, known: HashMap::new() }
    }

    /// Hands a record over, waiting for its topic or for memory if need be.
    pub(super) async fn send(&mut self, record: Record<'_>) -> Result<Delivery, SendError> {
        let is_last = self.last.as_ref().is_some_and(|(name, _)| name == record.topic);
        if !is_last {
            let topic = self.find(record.topic).await?;
            self.last = Some((record.topic.to_owned(), topic));
        }
        let Some((_, topic)) = &self.last else { unreachable!("it was set just now") };
        match topic.try_send(record) {
            Ok(delivery) => Ok(delivery),
            Err(TrySendError::Refused(error)) => Err(error),
            Err(_) => loop {
                match topic.send(record).await {
                    // Memory comes free at the latest when delivery.timeout.ms fails what holds
                    // it: a command has time for that.
                    Err(error) if error.kind() == ErrorKind::Timeout => {}
                    outcome => return outcome,
                }
            },
        }
    }

    async fn find(&mut self, name: &str) -> Result<Topic, SendError> {
        match self.known.get(name) {
            Some(Ok(topic)) => return Ok(topic.clone()),
            Some(Err((error, since))) if since.elapsed() < ASK_AGAIN_AFTER => {
                return Err(error.clone());
            }
            _ => {}
        }
        let found = self.producer.topic(name).await;
        let entry = found.clone().map_err(|error| (error, Instant::now()));
        self.known.insert(name.to_owned(), entry);
        found
    }
}
