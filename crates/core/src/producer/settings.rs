//! What topics are set to, as far as it decides what an acknowledgment is worth. Asked only for the
//! sake of whoever wants to be warned: records never wait for it.

use alloc::string::ToString;
use alloc::vec;
use core::time::Duration;

use bytes::Bytes;
use ottla_protocol::messages::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResponse, DescribeConfigsResult,
};
use ottla_protocol::{DecodeError, ErrorCode, decode_response};

use super::Producer;
use crate::connection::{Link, LinkState, Sent, SentRequest};
use crate::host::Host;
use crate::metadata::TopicIndex;
use crate::output::Event;
use crate::time::Instant;

/// The number of topics among the kinds of things that have settings.
const TOPIC_RESOURCE: i8 = 2;
const MIN_IN_SYNC: &str = "min.insync.replicas";

/// A producer that is never idle asks all the same after so long.
const IDLE_WAIT: Duration = Duration::from_secs(10);

impl<H: Host> Producer<H> {
    /// Asks how many replicas a known topic has and how many of them must be in sync;
    /// [`Event::TopicSettings`] will tell, if the cluster does. The question goes out when no
    /// record is on its way, and it is not repeated when it comes to nothing.
    pub fn examine_topic(&mut self, name: &str, now: Instant) {
        let Some(index) = self.cluster.find(name) else { return };
        if self.cluster.topic(index).replicas > 1 {
            self.examinations.push_back((index, now + IDLE_WAIT));
        } else {
            self.tell_settings(index, None);
        }
    }

    /// Asks for the settings of the next topic, on a connection that owes nothing.
    pub(super) fn pursue_settings(&mut self, now: Instant) {
        let Some((index, patient_until)) = self.examinations.front().copied() else { return };
        let is_idle = self.sender.requests_in_flight() == 0;
        let fits = |link: &&Link| {
            link.state == LinkState::Ready && (link.unanswered.is_empty() || patient_until <= now)
        };
        let link = self.links.iter().filter(fits).min_by_key(|link| link.unanswered.len());
        let Some(id) = link.map(|link| link.id).filter(|_| is_idle || patient_until <= now) else {
            return;
        };
        self.examinations.pop_front();
        let resource = DescribeConfigsResource {
            resource_type: TOPIC_RESOURCE,
            resource_name: self.cluster.topic(index).name.to_string(),
            configuration_keys: Some(vec![MIN_IN_SYNC.to_string()]),
        };
        let request = DescribeConfigsRequest {
            resources: vec![resource],
            ..DescribeConfigsRequest::default()
        };
        // A broker that does not know the question is not asked.
        self.ask(id, &request, Sent::TopicSettings(index), now);
    }

    /// Takes the answer; a topic whose settings are not ours to see stays unknown.
    pub(super) fn handle_settings(
        &mut self,
        index: TopicIndex,
        frame: Bytes,
        request: SentRequest,
    ) -> Result<(), DecodeError> {
        let (_, answer) = decode_response::<DescribeConfigsRequest>(frame, request.version)?;
        if let Some(number) = min_in_sync(&answer, &self.cluster.topic(index).name) {
            self.tell_settings(index, Some(number));
        }
        Ok(())
    }

    fn tell_settings(&mut self, index: TopicIndex, min_in_sync_replicas: Option<u32>) {
        let topic = self.cluster.topic(index);
        let (topic, replicas) = (topic.name.clone(), topic.replicas);
        self.events.push_back(Event::TopicSettings { topic, replicas, min_in_sync_replicas });
    }
}

fn min_in_sync(answer: &DescribeConfigsResponse, topic: &str) -> Option<u32> {
    let about =
        |it: &&DescribeConfigsResult| it.resource_name == topic && ErrorCode(it.error_code).is_ok();
    let result = answer.results.iter().find(about)?;
    let config = result.configs.iter().find(|config| config.name == MIN_IN_SYNC)?;
    config.value.as_deref()?.parse().ok()
}
