//! Cases by area, in every version that both sides have.
//!
//! `pair` asks both, `tree` compares, `normal` says what may differ anyway, and `known` has the
//! differences that remain, with reasons.

#![allow(unreachable_pub, reason = "the files of a test share what is theirs")]

mod data;
mod known;
mod normal;
mod pair;
mod table;
mod tree;

mod cluster_tools;
mod configs;
mod consumer_groups;
mod fetch;
mod groups;
mod moves;
mod produce;
mod topics;
mod transactions;
