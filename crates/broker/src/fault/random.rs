//! Faults by chance, from one seed.

use std::time::Duration;

use ottla_protocol::{ApiKey, ErrorCode};

use super::Fault;
use crate::rng::Rng;

/// Requests that must arrive for a client to begin at all.
const SPARED: [ApiKey; 3] =
    [ApiKey::API_VERSIONS, ApiKey::SASL_HANDSHAKE, ApiKey::SASL_AUTHENTICATE];

/// What a leader says when the client should ask again, and whether it says so after serving.
const EXCUSES: [(ErrorCode, bool); 7] = [
    (ErrorCode::NOT_LEADER_OR_FOLLOWER, false),
    (ErrorCode::NOT_LEADER_OR_FOLLOWER, true),
    (ErrorCode::NOT_ENOUGH_REPLICAS, false),
    (ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND, true),
    (ErrorCode::REQUEST_TIMED_OUT, true),
    (ErrorCode::KAFKA_STORAGE_ERROR, false),
    (ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, false),
];

/// Faults that happen by chance: lost requests and answers, broken connections, requests that
/// arrive after all, delays, throttles and retriable errors. The same seed makes the same choices
/// for the same requests in the same order.
///
/// They are faults that a client of Kafka has to bear: with idempotence and acks=all, and time
/// enough, each record arrives once. Requests by which a connection begins are spared.
///
/// # Examples
/// ```
/// use ottla_broker::{Cluster, RandomFaults};
///
/// let cluster = Cluster::builder().topic("t", 1).start()?;
/// cluster.inject_random(RandomFaults::new(7).one_in(50));
/// # Ok::<(), ottla_broker::StartError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "faults do nothing until they are injected"]
pub struct RandomFaults {
    pub(super) seed: u64,
    one_in: u32,
    api: Option<ApiKey>,
    max_delay: Duration,
}

impl RandomFaults {
    /// Faults from a seed, for one request in 20.
    pub fn new(seed: u64) -> Self {
        Self { seed, one_in: 20, api: None, max_delay: Duration::from_millis(200) }
    }

    /// About one request in so many meets a fault. 0 is for none. Default 20.
    pub fn one_in(self, requests: u32) -> Self {
        Self { one_in: requests, ..self }
    }

    /// Only requests of this API.
    pub fn api(self, api: ApiKey) -> Self {
        Self { api: Some(api), ..self }
    }

    /// The longest that an answer is delayed or a client throttled. Default 200 ms.
    pub fn max_delay(self, delay: Duration) -> Self {
        Self { max_delay: delay, ..self }
    }

    /// What the next request meets, if anything.
    pub(super) fn next(&self, api: ApiKey, rng: &mut Rng) -> Option<Fault> {
        let is_meant = self.api.is_none_or(|wanted| wanted == api) && !SPARED.contains(&api);
        if !is_meant || self.one_in == 0 || !rng.next_u64().is_multiple_of(self.one_in.into()) {
            return None;
        }
        let has_leader = api == ApiKey::PRODUCE || api == ApiKey::FETCH;
        let fault = Fault::on(api);
        Some(match rng.next_u64() % if has_leader { 11 } else { 6 } {
            0 => fault.drop_request(),
            1 => fault.drop_response(),
            2 => fault.disconnect(),
            3 => fault.disconnect_after_apply(),
            4 => fault.delay(self.some_time(rng)),
            5 => fault.throttle(self.some_time(rng)),
            6 => fault.disconnect().serve_again(self.some_time(rng)),
            _ => {
                let (code, is_served) = EXCUSES[(rng.next_u64() % EXCUSES.len() as u64) as usize];
                if is_served { fault.error_after_apply(code) } else { fault.error(code) }
            }
        })
    }

    fn some_time(&self, rng: &mut Rng) -> Duration {
        let most = u64::try_from(self.max_delay.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(rng.next_u64() % most.saturating_add(1).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn met(faults: &RandomFaults, api: ApiKey) -> Vec<String> {
        let mut rng = Rng::new(faults.seed);
        (0..1000)
            .filter_map(|_| faults.next(api, &mut rng))
            .map(|fault| format!("{fault:?}"))
            .collect()
    }

    #[test]
    fn a_seed_makes_the_same_choices_again() {
        let faults = RandomFaults::new(7).one_in(10);
        let first = met(&faults, ApiKey::PRODUCE);
        assert!((50..200).contains(&first.len()), "{}", first.len());
        assert_eq!(met(&faults, ApiKey::PRODUCE), first);
        assert_ne!(met(&RandomFaults::new(8).one_in(10), ApiKey::PRODUCE), first);
    }

    #[test]
    fn what_a_client_begins_with_is_spared_and_so_is_what_is_not_meant() {
        let faults = RandomFaults::new(7).one_in(1);
        assert_eq!(met(&faults, ApiKey::PRODUCE).len(), 1000);
        assert_eq!(met(&faults, ApiKey::API_VERSIONS).len(), 0);
        assert_eq!(met(&faults.clone().api(ApiKey::FETCH), ApiKey::PRODUCE).len(), 0);
        assert_eq!(met(&faults.one_in(0), ApiKey::PRODUCE).len(), 0);
    }
}
