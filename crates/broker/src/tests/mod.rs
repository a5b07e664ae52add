//! Tests that drive the nodes without sockets, in virtual time.

mod broken_disk;
mod careful;
mod turmoil;
mod world;
