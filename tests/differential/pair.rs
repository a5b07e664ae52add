//! Real Kafka and the embedded broker side by side: each request goes to both.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use ottla_broker::Cluster;
use ottla_protocol::messages::api_versions::{ApiVersionsRequest, ApiVersionsResponse};
use ottla_protocol::messages::create_topics::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};
use ottla_protocol::messages::describe_groups::DescribeGroupsRequest;
use ottla_protocol::messages::end_txn::EndTxnRequest;
use ottla_protocol::messages::find_coordinator::FindCoordinatorRequest;
use ottla_protocol::messages::init_producer_id::InitProducerIdRequest;
use ottla_protocol::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use ottla_protocol::messages::metadata::{MetadataRequest, MetadataRequestTopic};
use ottla_protocol::{Request, Uuid, decode_response, encode_request};
use ottla_tests::Engine;
use ottla_tests::engine::unique;

use super::known::{self, Difference};
use super::normal::Names;
use super::tree::Tree;
use crate::common::client::Client;

/// The same thing of both sides.
#[derive(Clone, Debug)]
pub struct Both<T> {
    pub kafka: T,
    pub ours: T,
}

/// A request for both sides: the same, or to each its own.
pub trait ForBoth {
    type Request: Request;

    fn each(self) -> Both<Self::Request>;
}

impl<R: Request> ForBoth for R {
    type Request = R;

    fn each(self) -> Both<R> {
        Both { kafka: self.clone(), ours: self }
    }
}

impl<R: Request> ForBoth for Both<R> {
    type Request = R;

    fn each(self) -> Self {
        self
    }
}

impl<T> Both<T> {
    pub fn map<U>(&self, change: impl Fn(&T) -> U) -> Both<U> {
        Both { kafka: change(&self.kafka), ours: change(&self.ours) }
    }

    pub fn with<V, U>(&self, other: &Both<V>, join: impl Fn(&T, &V) -> U) -> Both<U> {
        Both { kafka: join(&self.kafka, &other.kafka), ours: join(&self.ours, &other.ours) }
    }
}

struct Side {
    address: String,
    client: Client,
    names: Names,
    versions: ApiVersionsResponse,
    next_correlation_id: i32,
}

/// What one side says to a request.
enum Answer<T> {
    Message(T),
    Closed,
}

impl Side {
    fn new(address: &str) -> Self {
        let mut client = Client::connect_to(address);
        let versions = client.call(0, &ApiVersionsRequest::default());
        let address = address.to_owned();
        Self { address, client, names: Names::default(), versions, next_correlation_id: 1 << 20 }
    }

    fn versions(&self, api_key: i16) -> Option<(i16, i16)> {
        let row = self.versions.api_keys.iter().find(|row| row.api_key == api_key)?;
        Some((row.min_version, row.max_version))
    }

    /// Asks; `None` when the version cannot carry the request.
    fn ask<R: Request>(&mut self, version: i16, request: &R) -> Option<Answer<R::Response>> {
        let mut bytes = Vec::new();
        self.next_correlation_id += 1;
        let id = self.next_correlation_id;
        encode_request(request, version, id, Some("differential"), &mut bytes).ok()?;
        self.client.raw(&bytes);
        let Some(frame) = self.client.frame() else {
            self.client = Client::connect_to(&self.address);
            return Some(Answer::Closed);
        };
        let (got, response) = decode_response::<R>(frame, version).expect("an answer of the API");
        assert_eq!(got, id, "{} {version}", R::API_KEY);
        Some(Answer::Message(response))
    }
}

impl<T: std::fmt::Debug> Answer<T> {
    fn tree(&self) -> Tree {
        match self {
            Self::Message(message) => Tree::of(message),
            Self::Closed => Tree::Value("connection closed".to_owned()),
        }
    }
}

/// Both sides, and where they differed.
pub struct Pair {
    area: &'static str,
    kafka: Side,
    ours: Side,
    prefix: String,
    version: i16,
    found: Vec<Difference>,
    /// Whether a case was asked in any version.
    asked: BTreeMap<String, bool>,
    versions: BTreeSet<(i16, i16)>,
    requests: usize,
    barriers: usize,
    _cluster: Cluster,
}

impl Pair {
    /// Both sides for the cases of an area.
    ///
    /// # Errors
    /// Real Kafka is not here.
    pub fn new(area: &'static str) -> Result<Self, String> {
        let kafka = Engine::kafka()?;
        let Engine::Embedded { cluster, servers } = Engine::embedded() else {
            return Err("the embedded broker is not here".to_owned());
        };
        Ok(Self {
            area,
            kafka: Side::new(kafka.servers()),
            ours: Side::new(&servers),
            prefix: unique("differential"),
            version: 0,
            found: Vec::new(),
            asked: BTreeMap::new(),
            versions: BTreeSet::new(),
            requests: 0,
            barriers: 0,
            _cluster: cluster,
        })
    }

    /// The versions of an API that both sides and the messages here have.
    pub fn versions<R: Request>(&self) -> RangeInclusive<i16> {
        let key = R::API_KEY.0;
        let (Some(kafka), Some(ours)) = (self.kafka.versions(key), self.ours.versions(key)) else {
            panic!("{} is not served by both", R::API_KEY);
        };
        let own = R::VERSIONS;
        kafka.0.max(ours.0).max(own.min)..=kafka.1.min(ours.1).min(own.max)
    }

    /// A name that only this run has for this version, the same on both sides.
    pub fn name(&self, hint: &str) -> String {
        format!("{}v{}-{hint}", self.prefix, self.version)
    }

    /// Ids that were met so far belong to cases that are over.
    pub fn begin(&mut self, version: i16) {
        self.version = version;
        self.kafka.names = Names::default();
        self.ours.names = Names::default();
    }

    /// Asks both and compares. `None` when the version cannot carry the request, or one of them
    /// has closed the connection.
    pub fn ask<A: ForBoth>(
        &mut self,
        case: &str,
        version: i16,
        request: A,
    ) -> Option<Both<<A::Request as Request>::Response>> {
        let request = request.each();
        let api = A::Request::API_KEY;
        let case = format!("{api}: {case}");
        let asked = self.asked.entry(case.clone()).or_default();
        let kafka = self.kafka.ask(version, &request.kafka)?;
        let ours = self.ours.ask(version, &request.ours)?;
        *asked = true;
        self.versions.insert((api.0, version));
        self.requests += 1;
        self.compare(&case, version, kafka.tree(), ours.tree());
        match (kafka, ours) {
            (Answer::Message(kafka), Answer::Message(ours)) => Some(Both { kafka, ours }),
            _ => None,
        }
    }

    fn compare(&mut self, case: &str, version: i16, mut kafka: Tree, mut ours: Tree) {
        self.kafka.names.normalise(&mut kafka, &self.prefix);
        self.ours.names.normalise(&mut ours, &self.prefix);
        let mut spots = Vec::new();
        kafka.compare(&ours, "", &mut spots);
        for spot in spots {
            let known = self.found.iter_mut().find(|it| {
                it.case == case
                    && it.path == spot.path
                    && it.kafka == spot.kafka
                    && it.ours == spot.ours
            });
            match known {
                Some(known) => known.versions.push(version),
                None => self.found.push(Difference {
                    case: case.to_owned(),
                    versions: vec![version],
                    path: spot.path,
                    kafka: spot.kafka,
                    ours: spot.ours,
                }),
            }
        }
    }

    /// Asks both without comparing, where an answer is needed and no case.
    pub fn tell<A: ForBoth>(
        &mut self,
        version: i16,
        request: A,
    ) -> Both<<A::Request as Request>::Response> {
        let request = request.each();
        let told = |side: &mut Side, request: &A::Request| match side.ask(version, request) {
            Some(Answer::Message(message)) => message,
            _ => panic!("{} {version} is not answered", A::Request::API_KEY),
        };
        let kafka = told(&mut self.kafka, &request.kafka);
        Both { kafka, ours: told(&mut self.ours, &request.ours) }
    }

    /// Sends a request to which there is no answer.
    pub fn send_each<R: Request>(&mut self, version: i16, request: &Both<R>) {
        self.kafka.client.send(version, &request.kafka);
        self.ours.client.send(version, &request.ours);
        self.requests += 1;
    }

    /// Creates a topic on both sides, and waits for its leaders; gives its name and ids.
    pub fn topic(
        &mut self,
        hint: &str,
        partitions: i32,
        configs: &[(&str, &str)],
    ) -> (String, Both<Uuid>) {
        let name = self.name(hint);
        let mut configs: Vec<_> = configs.to_vec();
        // Records of the cases are old.
        if !configs.iter().any(|config| config.0 == "retention.ms") {
            configs.push(("retention.ms", "-1"));
        }
        let config = |(name, value): &(&str, &str)| CreatableTopicConfig {
            name: (*name).to_owned(),
            value: Some((*value).to_owned()),
        };
        let topic = CreatableTopic {
            name: name.clone(),
            num_partitions: partitions,
            replication_factor: 1,
            configs: configs.iter().map(config).collect(),
            ..CreatableTopic::default()
        };
        let topics = vec![topic];
        let create = CreateTopicsRequest { topics, timeout_ms: 30_000, validate_only: false };
        let created = self.tell(7, create);
        assert_eq!(created.map(|it| it.topics[0].error_code).kafka, 0);
        self.wait_for(&name, partitions);
        (name, created.map(|it| it.topics[0].topic_id))
    }

    /// Waits until both have a coordinator for a group (0) or a transactional id (1).
    pub fn find_coordinator(&mut self, key: &str, key_type: i8) {
        let key = key.to_owned();
        let request = FindCoordinatorRequest { key, key_type, ..FindCoordinatorRequest::default() };
        ottla_tests::until("there is a coordinator", || {
            (self.tell(3, request.clone()).kafka.error_code == 0).then_some(())
        });
        // It may be there and not ready.
        ottla_tests::until("the coordinator is ready", || match key_type {
            0 => {
                let groups = vec![request.key.clone()];
                let request = DescribeGroupsRequest { groups, ..DescribeGroupsRequest::default() };
                (self.tell(5, request).kafka.groups[0].error_code == 0).then_some(())
            }
            _ => {
                let request = InitProducerIdRequest {
                    transactional_id: Some(request.key.clone() + "-first"),
                    transaction_timeout_ms: 60_000,
                    producer_id: -1,
                    producer_epoch: -1,
                };
                (self.tell(4, request).kafka.error_code == 0).then_some(())
            }
        });
    }

    /// Waits until an end of a transaction, said again, is not under way any more.
    pub fn wait_for_end(&mut self, id: &str, again: &Both<EndTxnRequest>) {
        ottla_tests::until(&format!("the transaction of {id} has ended"), || {
            (self.tell(3, again.clone()).kafka.error_code != 51).then_some(())
        });
    }

    /// Waits until every partition has a leader that answers.
    pub fn wait_for(&mut self, topic: &str, partitions: i32) {
        let partition = |partition_index| ListOffsetsPartition {
            partition_index,
            timestamp: -1,
            ..ListOffsetsPartition::default()
        };
        let request = ListOffsetsRequest {
            replica_id: -1,
            topics: vec![ListOffsetsTopic {
                name: topic.to_owned(),
                partitions: (0..partitions).map(partition).collect(),
            }],
            ..ListOffsetsRequest::default()
        };
        ottla_tests::until("the partitions are led", || {
            let told = self.tell(7, request.clone());
            let partitions = &told.kafka.topics[0].partitions;
            partitions.iter().all(|partition| partition.error_code == 0).then_some(())
        });
    }

    /// Waits until Kafka's broker has read all that its controller has written: an answer to who
    /// changes something does not wait for that. It reads in order, so a later topic shows it.
    pub fn catch_up(&mut self) {
        self.barriers += 1;
        let hint = format!("barrier-{}", self.barriers);
        self.topic(&hint, 1, &[]);
    }

    /// Waits until Kafka does not know a topic any more.
    pub fn wait_until_gone(&mut self, topic: &str) {
        let name = Some(topic.to_owned());
        let topics = vec![MetadataRequestTopic { name, ..MetadataRequestTopic::default() }];
        let request = MetadataRequest { topics: Some(topics), ..MetadataRequest::default() };
        ottla_tests::until("the topic is gone", || {
            let told = self.tell(8, request.clone());
            (told.kafka.topics[0].error_code == 3).then_some(())
        });
    }

    /// Says what was compared, and fails when something differs that is not known, or something
    /// that is known does not differ.
    ///
    /// # Panics
    /// Then.
    pub fn finish(self) {
        let never: Vec<_> = self.asked.iter().filter(|it| !it.1).map(|it| it.0.as_str()).collect();
        assert!(never.is_empty(), "no version carries {never:?}");
        println!(
            "{}: {} requests, {} cases, {} versions of APIs",
            self.area,
            self.requests,
            self.asked.len(),
            self.versions.len()
        );
        known::judge(self.area, &self.found);
    }
}
