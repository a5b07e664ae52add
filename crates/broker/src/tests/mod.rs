//! Tests that drive the nodes without sockets, in virtual time.

mod broken_disk;
mod turmoil;
mod world;
