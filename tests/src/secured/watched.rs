//! A producer that is watched.

use std::sync::{Arc, Mutex};

use ottla::{Producer, ServerEvent};

use super::{Settings, builder};
use crate::wait::until;

/// A producer whose troubles with servers are kept.
pub struct Watched {
    /// The producer.
    pub producer: Producer,
    troubles: Arc<Mutex<Vec<String>>>,
}

impl Watched {
    /// Starts a producer.
    ///
    /// # Panics
    /// When a setting is refused.
    #[must_use]
    pub fn start(settings: &Settings) -> Self {
        let troubles: Arc<Mutex<Vec<String>>> = Arc::default();
        let heard = Arc::clone(&troubles);
        let producer = builder(settings)
            .on_server_event(move |event| {
                if let ServerEvent::Unreachable { server, why, .. } = event {
                    heard.lock().expect("no panic").push(format!("{server}: {why}"));
                }
            })
            .build();
        Self { producer: producer.expect("the settings are fine"), troubles }
    }

    /// What went wrong with servers so far, `host:port: why`.
    ///
    /// # Panics
    /// When a listener has panicked.
    #[must_use]
    pub fn troubles(&self) -> Vec<String> {
        self.troubles.lock().expect("no panic").clone()
    }

    /// The first thing that goes wrong.
    ///
    /// # Panics
    /// When nothing goes wrong in a minute.
    #[must_use]
    pub fn first_trouble(&self) -> String {
        self.producer.connect();
        until("trouble with a server", || self.troubles().into_iter().next())
    }
}
