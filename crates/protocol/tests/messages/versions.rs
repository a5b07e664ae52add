//! The table of versions says what the messages say.

use ottla_protocol::messages::APIS;
use ottla_protocol::{ApiKey, Message, Request, VersionRange};

fn row<R: Request>() -> (ApiKey, VersionRange, i16) {
    assert_eq!(R::VERSIONS, <R::Response as Message>::VERSIONS, "{}", R::API_KEY);
    assert_eq!(R::FLEXIBLE_FROM, <R::Response as Message>::FLEXIBLE_FROM, "{}", R::API_KEY);
    (R::API_KEY, R::VERSIONS, R::FLEXIBLE_FROM)
}

macro_rules! rows {
    ($($module:ident $request:ident),* $(,)?) => {
        [$(row::<ottla_protocol::messages::$module::$request>()),*]
    };
}

#[test]
fn the_table_agrees_with_every_message() {
    let rows = rows![
        produce ProduceRequest,
        fetch FetchRequest,
        list_offsets ListOffsetsRequest,
        metadata MetadataRequest,
        offset_commit OffsetCommitRequest,
        offset_fetch OffsetFetchRequest,
        find_coordinator FindCoordinatorRequest,
        join_group JoinGroupRequest,
        heartbeat HeartbeatRequest,
        leave_group LeaveGroupRequest,
        sync_group SyncGroupRequest,
        describe_groups DescribeGroupsRequest,
        list_groups ListGroupsRequest,
        sasl_handshake SaslHandshakeRequest,
        api_versions ApiVersionsRequest,
        create_topics CreateTopicsRequest,
        delete_topics DeleteTopicsRequest,
        delete_records DeleteRecordsRequest,
        init_producer_id InitProducerIdRequest,
        offset_for_leader_epoch OffsetForLeaderEpochRequest,
        add_partitions_to_txn AddPartitionsToTxnRequest,
        add_offsets_to_txn AddOffsetsToTxnRequest,
        end_txn EndTxnRequest,
        write_txn_markers WriteTxnMarkersRequest,
        txn_offset_commit TxnOffsetCommitRequest,
        describe_acls DescribeAclsRequest,
        create_acls CreateAclsRequest,
        delete_acls DeleteAclsRequest,
        describe_configs DescribeConfigsRequest,
        alter_configs AlterConfigsRequest,
        describe_log_dirs DescribeLogDirsRequest,
        sasl_authenticate SaslAuthenticateRequest,
        create_partitions CreatePartitionsRequest,
        delete_groups DeleteGroupsRequest,
        elect_leaders ElectLeadersRequest,
        incremental_alter_configs IncrementalAlterConfigsRequest,
        alter_partition_reassignments AlterPartitionReassignmentsRequest,
        list_partition_reassignments ListPartitionReassignmentsRequest,
        offset_delete OffsetDeleteRequest,
        describe_client_quotas DescribeClientQuotasRequest,
        alter_client_quotas AlterClientQuotasRequest,
        describe_user_scram_credentials DescribeUserScramCredentialsRequest,
        alter_user_scram_credentials AlterUserScramCredentialsRequest,
        describe_quorum DescribeQuorumRequest,
        update_features UpdateFeaturesRequest,
        describe_cluster DescribeClusterRequest,
        describe_producers DescribeProducersRequest,
        unregister_broker UnregisterBrokerRequest,
        describe_transactions DescribeTransactionsRequest,
        list_transactions ListTransactionsRequest,
        consumer_group_heartbeat ConsumerGroupHeartbeatRequest,
        consumer_group_describe ConsumerGroupDescribeRequest,
        list_config_resources ListConfigResourcesRequest,
        describe_topic_partitions DescribeTopicPartitionsRequest,
    ];
    assert_eq!(rows.map(|(api, ..)| api), APIS);
    for (api, versions, flexible_from) in rows {
        assert_eq!(api.versions(), Some(versions), "{api}");
        assert_eq!(api.first_flexible(), flexible_from, "{api}");
    }
}

#[test]
fn unstable_versions_are_left_out() {
    assert_eq!(ApiKey::INIT_PRODUCER_ID.versions(), Some(VersionRange::new(0, 5)));
}

#[test]
fn an_api_without_messages_has_no_versions_and_is_never_flexible() {
    assert_eq!(ApiKey::VOTE.versions(), None);
    assert!(!ApiKey::VOTE.is_flexible(i16::MAX - 1));
}
