//! What a broker's answer about a batch means: one table for every error code.

use ottla_protocol::ErrorCode;

use crate::error::ErrorKind;

/// What to do with a batch after the broker's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is in the log at the offset that the answer names.
    Delivered,
    /// It was in the log already; the answer does not say where.
    DeliveredBefore,
    /// Send it again.
    Retry {
        /// Whether this attempt may have put it into the log.
        maybe_written: bool,
        /// Whether the cluster's layout has to be asked for first.
        refresh: bool,
    },
    /// A batch before it is missing from the log.
    OutOfOrder,
    /// The broker has forgotten the producer: go on under a new epoch.
    NewEpoch,
    /// The producer id is worth nothing any more: get another.
    NewProducerId,
    /// It is not in the log and never will be.
    Fail(ErrorKind),
}

/// Whether a broker says this also of a batch that it has appended. With `acks=all` it answers when
/// the followers have the batch, and with one of these when it is no longer the leader by then: the
/// next leader may have the batch.
pub(super) const fn may_follow_append(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::NOT_LEADER_OR_FOLLOWER
            | ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
            | ErrorCode::KAFKA_STORAGE_ERROR
    )
}

/// The table. An unknown code is no verdict: the batch may be written, and is sent again.
#[must_use]
pub fn verdict(code: ErrorCode) -> Verdict {
    use Verdict::{Fail, Retry};
    const MOVED: Verdict = Retry { maybe_written: false, refresh: true };
    const NOT_NOW: Verdict = Retry { maybe_written: false, refresh: false };
    const UNSURE: Verdict = Retry { maybe_written: true, refresh: false };
    match code {
        ErrorCode::NONE => Verdict::Delivered,
        ErrorCode::DUPLICATE_SEQUENCE_NUMBER => Verdict::DeliveredBefore,
        ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER => Verdict::OutOfOrder,
        ErrorCode::UNKNOWN_PRODUCER_ID => Verdict::NewEpoch,
        ErrorCode::INVALID_PRODUCER_EPOCH
        | ErrorCode::PRODUCER_FENCED
        | ErrorCode::INVALID_PRODUCER_ID_MAPPING => Verdict::NewProducerId,
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
        | ErrorCode::UNKNOWN_TOPIC_ID
        | ErrorCode::INCONSISTENT_TOPIC_ID
        | ErrorCode::LEADER_NOT_AVAILABLE
        | ErrorCode::NOT_LEADER_OR_FOLLOWER
        | ErrorCode::REPLICA_NOT_AVAILABLE
        | ErrorCode::FENCED_LEADER_EPOCH
        | ErrorCode::UNKNOWN_LEADER_EPOCH
        | ErrorCode::KAFKA_STORAGE_ERROR => MOVED,
        ErrorCode::NOT_ENOUGH_REPLICAS
        | ErrorCode::CORRUPT_MESSAGE
        | ErrorCode::THROTTLING_QUOTA_EXCEEDED => NOT_NOW,
        ErrorCode::MESSAGE_TOO_LARGE | ErrorCode::RECORD_LIST_TOO_LARGE => {
            Fail(ErrorKind::TooLarge)
        }
        ErrorCode::INVALID_TOPIC_EXCEPTION => Fail(ErrorKind::UnknownTopic),
        ErrorCode::TOPIC_AUTHORIZATION_FAILED
        | ErrorCode::CLUSTER_AUTHORIZATION_FAILED
        | ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED => Fail(ErrorKind::Unauthorized),
        ErrorCode::INVALID_RECORD | ErrorCode::INVALID_TIMESTAMP => Fail(ErrorKind::InvalidRecord),
        ErrorCode::UNSUPPORTED_VERSION
        | ErrorCode::UNSUPPORTED_FOR_MESSAGE_FORMAT
        | ErrorCode::UNSUPPORTED_COMPRESSION_TYPE => Fail(ErrorKind::Unsupported),
        ErrorCode::INVALID_REQUIRED_ACKS | ErrorCode::POLICY_VIOLATION => Fail(ErrorKind::Refused),
        // REQUEST_TIMED_OUT, NOT_ENOUGH_REPLICAS_AFTER_APPEND, UNKNOWN_SERVER_ERROR,
        // NETWORK_EXCEPTION and whatever a later broker may say.
        _ => UNSURE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Laws: L1, L4. Scenarios: B-6, F4.
    #[test]
    fn an_answer_that_leaves_the_write_in_doubt_is_retried_as_maybe_written() {
        for code in [
            ErrorCode::REQUEST_TIMED_OUT,
            ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND,
            ErrorCode::UNKNOWN_SERVER_ERROR,
            ErrorCode(999),
        ] {
            let expected = Verdict::Retry { maybe_written: true, refresh: false };
            assert_eq!(verdict(code), expected, "{code:?}");
        }
    }

    #[test]
    fn a_leader_that_moved_is_a_definite_no_and_a_reason_to_look_again() {
        for code in [ErrorCode::NOT_LEADER_OR_FOLLOWER, ErrorCode::UNKNOWN_TOPIC_ID] {
            assert_eq!(verdict(code), Verdict::Retry { maybe_written: false, refresh: true });
        }
        let not_enough = verdict(ErrorCode::NOT_ENOUGH_REPLICAS);
        assert_eq!(not_enough, Verdict::Retry { maybe_written: false, refresh: false });
    }
}
