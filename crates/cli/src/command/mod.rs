//! The commands: each takes its checked options and ends with an exit code or a failure.

pub(crate) mod bench;
pub(crate) mod broker;
pub(crate) mod check;
pub(crate) mod configure;
pub(crate) mod control;
pub(crate) mod lab;
pub(crate) mod produce;
pub(crate) mod read;
pub(crate) mod topic;
pub(crate) mod verifiable;

use std::io::{self, Write};
use std::time::Duration;

use ottla::admin::{Admin, RequestError, RequestErrorKind};
use ottla::{ErrorCode, Security};

use crate::embedded::Servers;
use crate::exit::{Exit, Failure};
use crate::talk::Talk;

/// Connects to a cluster, saying at once why it has to be tried again.
pub(crate) async fn connect(
    bootstrap: &str,
    security: &Security,
    timeout: Duration,
    talk: &Talk,
) -> Result<Admin, Failure> {
    let connected =
        Admin::connect_with(bootstrap, security, timeout, retry_note(timeout, talk)).await;
    connected.map_err(failure)
}

/// Makes sure that somebody answers, and that it is a Kafka broker. A broker that is in this
/// process need not be asked.
pub(crate) async fn reach(
    servers: &Servers,
    security: &Security,
    timeout: Duration,
    talk: &Talk,
) -> Result<(), Failure> {
    if servers.is_embedded() {
        return Ok(());
    }
    let mut admin = connect(&servers.bootstrap, security, timeout, talk).await?;
    admin.reach_brokers().await.map_err(failure)
}

/// Says the first reason why no server answered.
pub(crate) fn retry_note(timeout: Duration, talk: &Talk) -> impl FnMut(&RequestError) {
    let mut said = false;
    let talk = talk.clone();
    move |error| {
        if !std::mem::replace(&mut said, true) {
            let seconds = timeout.as_secs_f64();
            talk.note(format_args!("{error}; trying again for up to {seconds} s (--timeout)"));
        }
    }
}

/// Writes to standard output at once; false when nobody reads it any more, which is no failure.
pub(crate) fn print(bytes: &[u8]) -> Result<bool, Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => {
            Err(Failure::new(Exit::SomeFailed, format!("cannot write the output: {error}")))
        }
    }
}

/// The exit code for a refused or unanswered request.
pub(crate) fn exit_of(error: &RequestError) -> Exit {
    match error.kind() {
        RequestErrorKind::Unreachable | RequestErrorKind::WrongService => Exit::Unreachable,
        // A password, a token or a certificate that is refused now is refused again: a script that
        // waits for its cluster does well to wait after 3 and to give up after 2.
        RequestErrorKind::Authentication => Exit::Usage,
        RequestErrorKind::Garbled => Exit::SomeFailed,
        RequestErrorKind::Refused if error.code().is_some_and(is_the_clusters_trouble) => {
            Exit::SomeFailed
        }
        _ => Exit::Usage,
    }
}

/// What a refused or unanswered request means for the command.
pub(crate) fn failure(error: RequestError) -> Failure {
    let exit = exit_of(&error);
    let failure = Failure::new(exit, error.to_string());
    match error.kind() {
        RequestErrorKind::UnknownTopic => {
            failure.cure("'ottla topic list' shows what topics there are")
        }
        RequestErrorKind::WrongService => failure.cure("give the port of a Kafka broker with -b"),
        _ => failure,
    }
}

/// Whether the cluster could not do what it was rightly asked for.
fn is_the_clusters_trouble(code: ErrorCode) -> bool {
    code == ErrorCode::UNKNOWN_SERVER_ERROR || code.is_retriable()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_in_the_cluster_is_no_wrong_usage() {
        for code in [
            ErrorCode::CORRUPT_MESSAGE,
            ErrorCode::KAFKA_STORAGE_ERROR,
            ErrorCode::UNKNOWN_SERVER_ERROR,
        ] {
            assert!(is_the_clusters_trouble(code), "{code}");
        }
        for code in [
            ErrorCode::TOPIC_ALREADY_EXISTS,
            ErrorCode::INVALID_REPLICATION_FACTOR,
            ErrorCode::TOPIC_AUTHORIZATION_FAILED,
        ] {
            assert!(!is_the_clusters_trouble(code), "{code}");
        }
    }
}
