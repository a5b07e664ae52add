//! Groups in virtual time, by what their members say.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ottla_protocol::{ErrorCode, Uuid};

use super::{ConsumerGroup, Heartbeat, HeartbeatAnswer, Partitions, Refusal, Settings, Topics};

const T: Uuid = Uuid([1; 16]);
const U: Uuid = Uuid([2; 16]);
const SESSION: Duration = Duration::from_secs(45);
const REBALANCE: Duration = Duration::from_secs(60);

/// Topics by name, with id and number of partitions.
#[derive(Default)]
struct Known(RefCell<BTreeMap<String, (Uuid, i32)>>);

impl Known {
    fn with(self, name: &str, id: Uuid, partitions: i32) -> Self {
        self.set(name, id, partitions);
        self
    }

    fn set(&self, name: &str, id: Uuid, partitions: i32) {
        self.0.borrow_mut().insert(name.to_owned(), (id, partitions));
    }
}

impl Topics for Known {
    fn topic(&self, name: &str) -> Option<(Uuid, i32)> {
        self.0.borrow().get(name).copied()
    }

    fn matching(&self, _: &str, is_wanted: &dyn Fn(&str) -> bool) -> BTreeSet<String> {
        self.0.borrow().keys().filter(|name| is_wanted(name)).cloned().collect()
    }
}

/// A group, what its members want to know of the topics, and the time.
struct Stage {
    group: ConsumerGroup,
    topics: Known,
    now: Duration,
}

impl Stage {
    fn new(topics: Known) -> Self {
        let settings = Settings { session_timeout: SESSION, max_size: 3 };
        Self { group: ConsumerGroup::new(settings), topics, now: Duration::ZERO }
    }

    fn say(&mut self, request: Heartbeat) -> Result<HeartbeatAnswer, Refusal> {
        self.group.heartbeat(request, || "made-up".to_owned(), &self.topics, self.now)
    }

    fn refuses(&mut self, request: Heartbeat) -> ErrorCode {
        self.say(request).expect_err("refused").code
    }

    fn advance(&mut self, time: Duration) {
        self.now += time;
        self.group.handle_timeout(self.now);
    }
}

/// What a member says that joins, as the client does for a list of topics.
fn joins(member_id: &str) -> Heartbeat {
    Heartbeat {
        member_id: member_id.to_owned(),
        member_epoch: 0,
        instance_id: None,
        rack_id: None,
        client_id: "client".to_owned(),
        client_host: "/127.0.0.1".to_owned(),
        principal: "User:a".into(),
        rebalance_timeout: Some(REBALANCE),
        topic_names: Some(vec!["t".to_owned()]),
        topic_regex: None,
        assignor: None,
        owned: Some(Partitions::new()),
    }
}

/// What a member says when nothing has changed, or only what it owns.
fn beats(member_id: &str, member_epoch: i32, owned: Option<&[i32]>) -> Heartbeat {
    Heartbeat {
        member_epoch,
        rebalance_timeout: None,
        topic_names: None,
        owned: owned.map(of_t),
        ..joins(member_id)
    }
}

fn of_instance(instance_id: &str, request: Heartbeat) -> Heartbeat {
    Heartbeat { instance_id: Some(instance_id.to_owned()), ..request }
}

fn of_t(partitions: &[i32]) -> Partitions {
    partitions.iter().map(|partition| (T, *partition)).collect()
}

fn answer(member_id: &str, member_epoch: i32, assignment: Option<&[i32]>) -> HeartbeatAnswer {
    HeartbeatAnswer {
        member_id: member_id.to_owned(),
        member_epoch,
        assignment: assignment.map(of_t),
    }
}

/// A group of two that have two of four partitions each, at epoch 2.
fn two_members() -> Stage {
    let mut stage = Stage::new(Known::default().with("t", T, 4));
    stage.say(joins("a")).unwrap();
    stage.say(joins("b")).unwrap();
    stage.say(beats("a", 1, None)).unwrap();
    stage.say(beats("a", 1, Some(&[0, 1]))).unwrap();
    stage.say(beats("b", 2, None)).unwrap();
    assert_eq!(stage.group.state_name(), "Stable");
    assert_eq!(stage.group.epochs(), (2, 2));
    stage
}

#[test]
fn partitions_are_given_up_by_one_member_before_another_gets_them() {
    let mut stage = Stage::new(Known::default().with("t", T, 4));
    assert_eq!(stage.group.state_name(), "Empty");
    assert_eq!(stage.say(joins("a")), Ok(answer("a", 1, Some(&[0, 1, 2, 3]))));
    assert_eq!(stage.say(beats("a", 1, None)), Ok(answer("a", 1, None)));
    assert_eq!(stage.group.state_name(), "Stable");

    // The second one waits, at the new epoch, for what the first has.
    assert_eq!(stage.say(joins("b")), Ok(answer("b", 2, Some(&[]))));
    assert_eq!(stage.group.state_name(), "Reconciling");
    // The first is told what to keep, and stays at its epoch until it says that it has done so.
    assert_eq!(stage.say(beats("a", 1, None)), Ok(answer("a", 1, Some(&[0, 1]))));
    assert_eq!(stage.say(beats("a", 1, Some(&[0, 1, 2, 3]))), Ok(answer("a", 1, None)));
    assert_eq!(stage.say(beats("b", 2, None)), Ok(answer("b", 2, None)));
    assert_eq!(stage.say(beats("a", 1, Some(&[0, 1]))), Ok(answer("a", 2, None)));
    assert_eq!(stage.say(beats("b", 2, None)), Ok(answer("b", 2, Some(&[2, 3]))));
    assert_eq!(stage.group.state_name(), "Stable");
}

#[test]
fn what_a_member_that_left_had_goes_to_the_others_at_their_next_heartbeat() {
    let mut stage = two_members();
    assert_eq!(stage.say(beats("b", -1, None)), Ok(answer("b", -1, None)));
    assert_eq!(stage.group.state_name(), "Assigning");
    assert_eq!(stage.say(beats("a", 2, None)), Ok(answer("a", 3, Some(&[0, 1, 2, 3]))));
    assert_eq!(stage.refuses(beats("b", 2, None)), ErrorCode::UNKNOWN_MEMBER_ID);
}

#[test]
fn a_member_that_is_silent_for_a_session_is_out() {
    let mut stage = two_members();
    stage.advance(SESSION / 2);
    stage.say(beats("a", 2, None)).unwrap();
    assert_eq!(stage.group.next_timeout(), Some(SESSION));
    stage.advance(SESSION / 2);
    assert_eq!(stage.say(beats("a", 2, None)), Ok(answer("a", 3, Some(&[0, 1, 2, 3]))));
    assert_eq!(stage.refuses(beats("b", 2, None)), ErrorCode::UNKNOWN_MEMBER_ID);
}

#[test]
fn a_member_that_does_not_give_up_its_partitions_in_time_is_out() {
    let mut stage = Stage::new(Known::default().with("t", T, 4));
    stage.say(joins("a")).unwrap();
    stage.say(joins("b")).unwrap();
    stage.say(beats("a", 1, None)).unwrap();
    for _ in 0..3 {
        stage.advance(REBALANCE / 3);
        stage.say(beats("b", 2, None)).unwrap();
        let _ = stage.say(beats("a", 1, Some(&[0, 1, 2, 3])));
    }
    assert_eq!(stage.refuses(beats("a", 1, None)), ErrorCode::UNKNOWN_MEMBER_ID);
    // Its partitions are all free now.
    let taken = stage.say(beats("b", 3, None)).unwrap();
    assert_eq!((taken.member_epoch, stage.group.state_name()), (3, "Stable"));
}

#[test]
fn an_epoch_that_is_not_the_members_is_fenced() {
    let mut stage = two_members();
    assert_eq!(stage.refuses(beats("a", 3, None)), ErrorCode::FENCED_MEMBER_EPOCH);
    assert_eq!(stage.refuses(beats("a", 1, None)), ErrorCode::FENCED_MEMBER_EPOCH);
    assert_eq!(stage.refuses(beats("a", 1, Some(&[0, 1, 2]))), ErrorCode::FENCED_MEMBER_EPOCH);
    // An answer may be lost: who has no more than it may have is told again.
    assert_eq!(stage.say(beats("a", 1, Some(&[0, 1]))), Ok(answer("a", 2, None)));
    // Who was fenced joins again under its id.
    assert_eq!(stage.say(joins("a")), Ok(answer("a", 2, Some(&[0, 1]))));
    assert_eq!(stage.refuses(beats("c", 2, None)), ErrorCode::UNKNOWN_MEMBER_ID);
}

#[test]
fn a_static_member_that_leaves_for_a_while_finds_its_partitions_again() {
    let mut stage = Stage::new(Known::default().with("t", T, 4));
    stage.say(of_instance("one", joins("a"))).unwrap();
    stage.say(joins("b")).unwrap();
    stage.say(of_instance("one", beats("a", 1, None))).unwrap();
    stage.say(of_instance("one", beats("a", 1, Some(&[0, 1])))).unwrap();
    stage.say(beats("b", 2, None)).unwrap();

    // As long as it is there nobody else can have its instance id.
    assert_eq!(stage.refuses(of_instance("one", joins("c"))), ErrorCode::UNRELEASED_INSTANCE_ID);
    assert_eq!(
        stage.refuses(of_instance("two", beats("a", 2, None))),
        ErrorCode::UNKNOWN_MEMBER_ID
    );
    let away = of_instance("one", beats("a", -2, None));
    assert_eq!(stage.say(away), Ok(answer("a", -2, None)));
    assert_eq!(stage.say(beats("b", 2, None)), Ok(answer("b", 2, None)));
    let back = stage.say(of_instance("one", joins("c")));
    assert_eq!(back, Ok(answer("c", 2, Some(&[0, 1]))));
    assert_eq!(
        stage.refuses(of_instance("one", beats("a", 2, None))),
        ErrorCode::FENCED_INSTANCE_ID
    );
    assert_eq!(stage.group.epochs(), (2, 2));

    // Who stays away for a session is out, and so is who leaves for good.
    stage.say(of_instance("one", beats("c", -2, None))).unwrap();
    stage.advance(SESSION);
    assert!(stage.group.is_empty());
    stage.say(of_instance("one", joins("d"))).unwrap();
    stage.say(of_instance("one", beats("d", -1, None))).unwrap();
    assert!(stage.group.is_empty());
}

#[test]
fn topics_that_come_grow_and_go_change_the_assignment() {
    let mut stage = Stage::new(Known::default());
    assert_eq!(stage.say(joins("a")), Ok(answer("a", 1, Some(&[]))));
    stage.topics.set("t", T, 2);
    assert_eq!(stage.say(beats("a", 1, None)), Ok(answer("a", 2, Some(&[0, 1]))));
    stage.topics.set("t", T, 3);
    assert_eq!(stage.say(beats("a", 2, None)), Ok(answer("a", 3, Some(&[0, 1, 2]))));
    // A topic of the same name is another one.
    stage.topics.set("t", U, 1);
    assert_eq!(stage.say(beats("a", 3, None)), Ok(answer("a", 3, Some(&[]))));
    let given_up = stage.say(beats("a", 3, Some(&[]))).unwrap();
    assert_eq!((given_up.member_epoch, given_up.assignment), (4, Some([(U, 0)].into())));
    assert_eq!(stage.say(beats("a", 4, None)), Ok(answer("a", 4, None)));
}

#[test]
fn a_regular_expression_must_match_the_whole_name_and_finds_new_topics() {
    let topics = Known::default().with("orders-1", T, 1).with("old-orders-1", U, 1);
    let mut stage = Stage::new(topics);
    let wanting = |regex: &str| Heartbeat {
        topic_names: None,
        topic_regex: Some(regex.to_owned()),
        ..joins("a")
    };
    assert_eq!(stage.refuses(wanting("orders-(")), ErrorCode::INVALID_REGULAR_EXPRESSION);
    assert_eq!(stage.refuses(wanting("a)|(b")), ErrorCode::INVALID_REGULAR_EXPRESSION);
    assert!(stage.group.is_empty());
    assert_eq!(stage.say(wanting("orders-.|nothing")), Ok(answer("a", 1, Some(&[0]))));
    stage.topics.set("orders-2", Uuid([3; 16]), 1);
    let found = stage.say(beats("a", 1, None)).unwrap();
    assert_eq!(found.assignment, Some([(T, 0), (Uuid([3; 16]), 0)].into()));
    assert!(stage.group.is_subscribed_to("orders-2"));
    // An empty one takes it back.
    let none = Heartbeat { topic_regex: Some(String::new()), ..beats("a", 2, None) };
    assert_eq!(stage.say(none).unwrap().assignment, Some(Partitions::new()));
}

#[test]
fn most_members_choose_the_assignor() {
    let mut stage = Stage::new(Known::default().with("t", T, 4));
    let liking = |member_id: &str, assignor: &str| Heartbeat {
        assignor: Some(assignor.to_owned()),
        ..joins(member_id)
    };
    assert_eq!(stage.group.assignor_name(), "uniform");
    stage.say(liking("a", "uniform")).unwrap();
    stage.say(liking("b", "range")).unwrap();
    assert_eq!(stage.group.assignor_name(), "uniform");
    stage.say(liking("c", "range")).unwrap();
    assert_eq!(stage.group.assignor_name(), "range");
}

#[test]
fn a_full_group_takes_nobody_in_and_keeps_who_is_there() {
    let mut stage = Stage::new(Known::default().with("t", T, 4));
    for member in ["a", "b", "c"] {
        stage.say(joins(member)).unwrap();
    }
    assert_eq!(stage.refuses(joins("d")), ErrorCode::GROUP_MAX_SIZE_REACHED);
    stage.say(joins("a")).unwrap();
}

#[test]
fn offsets_are_for_members_with_the_present_epoch() {
    let mut stage = Stage::new(Known::default().with("t", T, 4));
    assert_eq!(stage.group.check_commit("", -1, 9), Ok(()));
    stage.say(joins("a")).unwrap();
    let commit = |stage: &Stage, id, epoch, version| stage.group.check_commit(id, epoch, version);
    assert_eq!(commit(&stage, "a", 1, 9), Ok(()));
    assert_eq!(commit(&stage, "a", 1, 8), Err(ErrorCode::UNSUPPORTED_VERSION));
    assert_eq!(commit(&stage, "a", 0, 9), Err(ErrorCode::STALE_MEMBER_EPOCH));
    assert_eq!(commit(&stage, "b", 1, 9), Err(ErrorCode::UNKNOWN_MEMBER_ID));
    assert_eq!(commit(&stage, "", -1, 9), Err(ErrorCode::UNKNOWN_MEMBER_ID));
    assert_eq!(stage.group.check_fetch(None, -1), Ok(()));
    assert_eq!(stage.group.check_fetch(Some("a"), 1), Ok(()));
    assert_eq!(stage.group.check_fetch(Some("a"), 2), Err(ErrorCode::STALE_MEMBER_EPOCH));
    assert_eq!(stage.group.check_fetch(Some("b"), 1), Err(ErrorCode::UNKNOWN_MEMBER_ID));
}

#[test]
fn a_request_that_contradicts_itself_is_refused() {
    let refused = |request: Heartbeat, version| request.check(version).unwrap_err().code;
    let invalid = ErrorCode::INVALID_REQUEST;
    assert!(joins("a").check(1).is_ok());
    assert!(joins("").check(0).is_ok());
    assert_eq!(refused(joins(""), 1), invalid);
    assert_eq!(refused(beats("", 1, None), 0), invalid);
    assert_eq!(refused(beats("a", -3, None), 1), invalid);
    assert_eq!(refused(beats("a", -2, None), 1), invalid);
    assert_eq!(refused(of_instance("", joins("a")), 1), invalid);
    assert_eq!(refused(Heartbeat { rebalance_timeout: None, ..joins("a") }, 1), invalid);
    assert_eq!(refused(Heartbeat { owned: None, ..joins("a") }, 1), invalid);
    assert_eq!(refused(Heartbeat { owned: Some(of_t(&[0])), ..joins("a") }, 1), invalid);
    assert_eq!(refused(Heartbeat { topic_names: None, ..joins("a") }, 1), invalid);
    let assignor = Heartbeat { assignor: Some("sticky".to_owned()), ..joins("a") };
    assert_eq!(refused(assignor, 1), ErrorCode::UNSUPPORTED_ASSIGNOR);
}
