//! Tests that drive the nodes without sockets, in virtual time.

mod turmoil;
mod world;
