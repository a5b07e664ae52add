//! The authentications that the core wants done, each a task of its own.

use std::collections::HashMap;

use bytes::Bytes;
use ottla_core::output::{AuthReply, Authenticate, ConnectionId};
use tokio::sync::mpsc;

use super::Security;
use crate::net::Incoming;

/// Those under way.
pub(crate) struct Logins {
    security: Security,
    incoming: mpsc::UnboundedSender<Incoming>,
    /// Where each takes the broker's answers from.
    challenges: HashMap<ConnectionId, mpsc::UnboundedSender<Bytes>>,
}

impl Logins {
    pub(crate) fn new(security: Security, incoming: mpsc::UnboundedSender<Incoming>) -> Self {
        Self { security, incoming, challenges: HashMap::new() }
    }

    /// Takes a step; what comes of it is told as [`Incoming::Authenticated`].
    pub(crate) fn step(&mut self, step: Authenticate) {
        let id = step.connection;
        if let Some(challenge) = step.challenge {
            if let Some(challenges) = self.challenges.get(&id) {
                let _ = challenges.send(challenge);
            }
            return;
        }
        let (sender, challenges) = mpsc::unbounded_channel();
        self.challenges.insert(id, sender);
        let (security, incoming) = (self.security.clone(), self.incoming.clone());
        tokio::spawn(async move {
            run(&security, id, &step.server, challenges, &incoming).await;
        });
    }

    /// A connection is gone: its authentication goes on no further.
    pub(crate) fn forget(&mut self, id: ConnectionId) {
        self.challenges.remove(&id);
    }
}

async fn run(
    security: &Security,
    id: ConnectionId,
    server: &str,
    mut challenges: mpsc::UnboundedReceiver<Bytes>,
    incoming: &mpsc::UnboundedSender<Incoming>,
) {
    let mut login = match security.login(server).await {
        Ok(login) => login,
        Err(why) => {
            let _ = incoming.send(Incoming::Authenticated(id, AuthReply::Failed(why)));
            return;
        }
    };
    let mut challenge = Bytes::new();
    loop {
        let reply = login.step(&challenge).await;
        let goes_on = matches!(reply, AuthReply::Respond(_));
        if incoming.send(Incoming::Authenticated(id, reply)).is_err() || !goes_on {
            return;
        }
        match challenges.recv().await {
            Some(next) => challenge = next,
            None => return,
        }
    }
}
